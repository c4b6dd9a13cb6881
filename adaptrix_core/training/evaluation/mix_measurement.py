"""Measures a mix as it is signed: what it does to its adapters' answers, and the weights that attention leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, MeasuredPart
from adaptrix_core.config import Settings
from adaptrix_core.engine import Engine
from adaptrix_core.training.evaluation.attention_reduction import reduced_by_attention
from adaptrix_core.training.evaluation.interference import MAX_TOKENS, InterferenceMeter, Progress, loaded_adapters


def unguarded(settings: Settings) -> Settings:
    """The same settings for an engine that measures: no mix is refused or computed otherwise than it is named."""
    return settings.model_copy(update={"composition": settings.composition.model_copy(update={"over_limit": "off"})})


def measured_mix(engine: Engine, mix: Mapping[str, float], progress: Progress = lambda _: None) -> MeasuredMix:
    """The measurement of ``mix``, weights by adapter name, on the adapters' routing examples.

    Takes seconds to minutes; answers that were measured before are taken from the user's cache. Raises InvalidRequest
    for a composition among the names, for an adapter without routing examples, and where the base model's attention
    cannot be looked into.
    """
    adapters = loaded_adapters(engine, tuple(mix))
    prompts = {name: adapter.metadata.routing_examples for name, adapter in adapters.items()}
    effects = InterferenceMeter(engine, prompts, progress=progress).measure(mix).effects
    progress("attention")
    reduced = reduced_by_attention(engine, mix, prompts)
    info = engine.base.info
    return MeasuredMix(
        base_lineage=info.lineage,
        base_digest=info.digest,
        layout=engine.base.layout,
        max_tokens=MAX_TOKENS,
        date=datetime.now(UTC).date().isoformat(),
        parts=tuple(
            MeasuredPart(
                identity=adapter.identity,
                package_digest=adapter.package_digest,
                weights_digest=adapter.weights_digest,
                weight=mix[name],
                reduced=reduced[name],
                prompts=effects[name].prompts,
                tokens=effects[name].tokens,
                loss_rise=effects[name].loss_rise,
                tokens_kept=effects[name].tokens_kept,
                displacement=effects[name].displacement,
            )
            for name, adapter in adapters.items()
        ),
    )
