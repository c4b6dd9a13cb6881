"""Anchoring: where a mix has drifted from the base model on a prompt, it acts with less weight from there on.

The prompt is run twice beforehand, under the base and under the whole mix. From the first layer, or from the first
token, whose similarity is below the threshold on, the weights of all terms are multiplied by a factor. Nothing is
tried twice, so equal prompts and mixes are anchored alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context.validator import ContextValidator
from adaptrix_core.engine.choices import AdapterChoice, terms_of
from adaptrix_core.engine.engine import Engine, Prompt
from adaptrix_core.injection.mix import MixSchedule, Term

AnchorBy = Literal["layer", "token"]


@dataclass(frozen=True)
class AnchoredMix:
    """A mix for one prompt, after anchoring."""

    schedule: tuple[tuple[int, tuple[Term[str], ...]], ...]
    """The terms by adapter name, and the token that they act from, as in a mix schedule."""
    since: int | None
    """The layer, or token, from which the weights are reduced; None where nothing has drifted."""
    similarity: tuple[float, ...]
    """To the base model, by layer or by token: what was compared with the threshold."""

    @property
    def terms(self) -> tuple[Term[str], ...]:
        """The terms that the last tokens of the prompt, and all of the answer, are computed under."""
        return self.schedule[-1][1]

    def resolved(self, engine: Engine) -> MixSchedule:
        """The schedule for a `GenerationRequest`."""
        return tuple((start, engine.resolve_mix(terms)) for start, terms in self.schedule)


def anchored(
    engine: Engine, prompt: Prompt, adapters: AdapterChoice, by: AnchorBy, settings: ContextSettings | None = None
) -> AnchoredMix:
    """Anchor a mix on ``prompt``; costs two runs of it. settings: threshold and factor, the defaults if None.

    Raises as `ContextValidator.similarity` does. Used from the engine's thread.
    """
    terms = terms_of(adapters)
    if not terms:
        return AnchoredMix(((0, ()),), None, ())
    return anchored_where(engine, ContextValidator(engine).similarity(prompt, terms), terms, by, settings)


def anchored_where(
    engine: Engine, similarity: Tensor, terms: tuple[Term[str], ...], by: AnchorBy, settings: ContextSettings | None
) -> AnchoredMix:
    """Anchor a mix whose similarity to the base model on the prompt is known, ``(layers, tokens)``.

    By layer, means over the tokens are compared; by token, means over the layers from the first adapted one on.
    """
    settings = settings or ContextSettings()
    first = min(layer for term in engine.resolve_mix(terms) for layer in engine.loader.layers_of(term.adapter))
    means = tuple((similarity.mean(1) if by == "layer" else similarity[first:].mean(0)).tolist())
    since = next((place for place, value in enumerate(means) if value < settings.similarity), None)
    if since is None:
        return AnchoredMix(((0, terms),), None, means)
    depth, factor = engine.base.info.num_layers, settings.anchor_factor
    if by == "layer":
        return AnchoredMix(((0, reduced(terms, since, factor, depth)),), since, means)
    whole = () if since == 0 else ((0, terms),)
    return AnchoredMix((*whole, (since, reduced(terms, 0, factor, depth))), since, means)


def reduced(terms: Sequence[Term[str]], since: int, factor: float, depth: int) -> tuple[Term[str], ...]:
    """``terms`` with their weights multiplied by ``factor`` from layer ``since`` of ``depth`` on."""
    return tuple(
        replace(
            term, weight=tuple(_weight(term, layer) * (factor if layer >= since else 1.0) for layer in range(depth))
        )
        for term in terms
    )


def _weight(term: Term[str], layer: int) -> float:
    return term.weight[layer] if isinstance(term.weight, tuple) else term.weight
