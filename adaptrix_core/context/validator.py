"""Compares what a mix of adapters computes with what the base model alone computes, layer by layer and token by token.

Works with whatever layout the engine has loaded: modules in any precision, and packed weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from torch import Tensor

from adaptrix_core.adapters.reference import mix_label
from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context.comparison import (
    attention_drift,
    check_finite,
    prediction_drift,
    state_conflict,
    state_similarity,
)
from adaptrix_core.context.report import ContextReport, StateConflict
from adaptrix_core.engine.choices import AdapterChoice, terms_of
from adaptrix_core.engine.compute.inspected import InspectedRun
from adaptrix_core.engine.engine import Engine, Prompt
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term


class ContextValidator:
    """Looks into an engine's runs. Used where the engine is: from the engine's thread."""

    def __init__(self, engine: Engine, thresholds: ContextSettings | None = None) -> None:
        """thresholds: what counts as drifted and as conflicting; the measured defaults if None."""
        self._engine = engine
        self.thresholds = thresholds or ContextSettings()

    def compare(
        self,
        prompt: Prompt,
        adapters: AdapterChoice,
        layers: Sequence[int] | None = None,
        attention: bool = True,
    ) -> ContextReport:
        """Compute ``prompt`` under a mix and under the base model, and compare.

        Costs one run of the prompt for the base, one for the mix, and one for each adapter of a mix of several.
        layers: those that are compared; all if None. attention: whether attention is compared, too.
        Raises InvalidRequest for an empty prompt, no adapters and unknown layers, ContextLengthExceeded,
        AdapterNotFound, and AdapterRejected where the mix computes numbers that are not finite.
        """
        terms = terms_of(adapters)
        if not terms:
            raise InvalidRequest("there is no adapter to compare with the base model; name a mix", param="adapters")
        chosen = self._chosen(layers)
        base = self._run(prompt, (), attention)
        mixed = self._run(prompt, terms, attention)
        divergence, agreement = prediction_drift(base, mixed, self._head)
        return ContextReport(
            mix=mix_label(terms),
            tokens=self._texts(base.token_ids),
            layers=chosen,
            similarity=state_similarity(base, mixed)[list(chosen)],
            attention_drift=attention_drift(base, mixed, chosen) if attention else None,
            divergence=divergence,
            agreement=agreement,
            conflicts=self._conflicts(prompt, terms, base, chosen),
            thresholds=self.thresholds,
        )

    def similarity(self, prompt: Prompt, adapters: AdapterChoice) -> Tensor:
        """`ContextReport.similarity` of all layers alone, ``(layers, tokens)``: two runs, and nothing else."""
        base, mixed = (self._run(prompt, terms, attention=False) for terms in ((), terms_of(adapters)))
        return state_similarity(base, mixed)

    def _conflicts(
        self, prompt: Prompt, terms: Sequence[Term[str]], base: InspectedRun, layers: Sequence[int]
    ) -> tuple[StateConflict, ...]:
        if len(terms) < 2:
            return ()
        ungated = [replace(term, gated=None) for term in terms]  # a gate has no say over one adapter
        alone = [(term.adapter, self._run(prompt, (term,), attention=False)) for term in ungated]
        found = []
        for (one, first), (other, second) in combinations(alone, 2):
            values = state_conflict(base, first, second)[list(layers)].tolist()
            found.append(StateConflict(one, other, tuple(None if value != value else value for value in values)))
        return tuple(found)

    def _run(self, prompt: Prompt, terms: tuple[Term[str], ...], attention: bool) -> InspectedRun:
        run = self._engine.inspect(prompt, terms, attention)
        check_finite(run, mix_label(terms) if terms else None)
        return run

    def _head(self, states: Tensor) -> Tensor:
        base = self._engine.base
        return base.head(states.to(base.device, base.dtype))

    def _chosen(self, layers: Sequence[int] | None) -> tuple[int, ...]:
        depth = self._engine.base.info.num_layers
        chosen = tuple(range(depth)) if layers is None else tuple(sorted(set(layers)))
        wrong = [layer for layer in chosen if not 0 <= layer < depth]
        if wrong or not chosen:
            named = f"layer {wrong[0]} is" if wrong else "no layer is"
            raise InvalidRequest(f"{named} named; the model has {depth} layers (0 to {depth - 1})", param="layers")
        return chosen

    def _texts(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        tokenizer = self._engine.base.tokenizer
        return tuple(str(token) if tokenizer is None else str(tokenizer.decode([token])) for token in token_ids)
