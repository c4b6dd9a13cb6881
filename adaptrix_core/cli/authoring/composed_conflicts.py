"""What `compose` does about conflicts before a composition is signed: measured, then as the settings say."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.manifests.checking import nested_part
from adaptrix_core.composition.manifests.expansion import Unread, expanded
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.composition.parts import Group
from adaptrix_core.errors import Conflict, InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.adapters.package.manifest import CompositionMetadata
    from adaptrix_core.adapters.package.metadata import AdapterMetadata
    from adaptrix_core.cli.session import Session
    from adaptrix_core.composition.conflicts.behaviour import Interference
    from adaptrix_core.composition.conflicts.merging import Method
    from adaptrix_core.engine import Engine
    from adaptrix_core.injection.lora import LoraWeights
    from adaptrix_core.injection.mix import Term
    from adaptrix_core.training.evaluation.interference import InterferenceMeter

MERGED_BY: Mapping[str, tuple[Method, float]] = {"ties": ("ties", 0.2), "dare": ("dare_linear", 0.5)}
"""Method and share of kept entries (`conflicts/merging.py`), by the setting ``composition.resolve_by``."""


@dataclass(frozen=True)
class MergedInstead:
    """The adapter that takes the place of a composition whose adapters get along too badly."""

    metadata: AdapterMetadata
    weights: LoraWeights


def settled(
    session: Session, manager: AdapterManager, metadata: CompositionMetadata, fields: Mapping[str, Any]
) -> CompositionMetadata | MergedInstead:
    """The composition with what was measured of it, or what takes its place. fields: more of `CompositionMetadata`.

    It is left as it is where its adapters answer by themselves, or cannot be measured, which is told. Raises Conflict
    (mix_conflict) where the settings refuse it.
    """
    if session.settings.composition.over_limit == "off" or not _is_mix_of_several(manager, metadata):
        return metadata
    from adaptrix_core.engine.build import build_engine
    from adaptrix_core.training.evaluation.mix_measurement import unguarded

    with session.output.waiting("starting an engine, to measure conflicts (--unmeasured does without)"):
        engine = build_engine(unguarded(session.settings), manager.root, manager.trust)
    terms = expanded(Unread(metadata), lambda part: nested_part(manager, part), engine.base.info.num_layers)
    mix = tuple(term.called(term.adapter.identity) for term in terms)
    try:
        meter = _meter(session, engine, mix)
        found = meter.measure(mix)
    except InvalidRequest as error:
        session.output.warn(f"conflicts are not measured: {error.message}")
        return metadata
    return _Settling(session, manager, metadata, fields, engine, meter, mix, found).settled()


def _is_mix_of_several(manager: AdapterManager, metadata: CompositionMetadata) -> bool:
    part = compose(metadata.composition, param="composition")
    if not isinstance(part, Group) or not part.is_plain:
        return False
    return len(part.mix) > 1 or any(one.weights_digest is None for one in metadata.parts.values())


def _meter(session: Session, engine: Engine, mix: tuple[Term[str], ...]) -> InterferenceMeter:
    from adaptrix_core.training.evaluation.interference import InterferenceMeter, loaded_adapters

    adapters = loaded_adapters(engine, [term.adapter for term in mix])
    prompts = {name: adapter.metadata.routing_examples for name, adapter in adapters.items()}
    return InterferenceMeter(
        engine, prompts, progress=lambda name: session.output.note(f"measuring what becomes of {name}'s answers")
    )


@dataclass(frozen=True)
class _Settling:
    """One composition that was measured."""

    session: Session
    manager: AdapterManager
    metadata: CompositionMetadata
    fields: Mapping[str, Any]
    engine: Engine
    meter: InterferenceMeter
    mix: tuple[Term[str], ...]
    found: Interference

    def settled(self) -> CompositionMetadata | MergedInstead:
        wanted = self.session.settings.composition
        if self.found.score <= wanted.conflict_limit:
            return self._with_conflicts(self.metadata, self.found)
        told = self._told(self.found)
        if wanted.over_limit == "refuse":
            raise Conflict(
                f"{told}; let its adapters answer in turns (sequential), weigh them otherwise, or raise the limit",
                code="mix_conflict",
            )
        if wanted.over_limit == "resolve":
            return self._merged(told) if wanted.resolve_by in MERGED_BY else self._down_weighted(told)
        self.session.output.warn(told)
        return self._with_conflicts(self.metadata, self.found)

    def _down_weighted(self, told: str) -> CompositionMetadata:
        """The composition with weights reduced by attention, if it is adapters with a weight each."""
        from adaptrix_core.training.evaluation.attention_reduction import reduced_by_attention

        before = {term.adapter: term.strength for term in self.mix}
        called = {self.metadata.identity_of(part): part for part in self.metadata.parts}
        if called.keys() != before.keys() or any(
            term.layers is not None or isinstance(term.weight, tuple) for term in self.mix
        ):
            self.session.output.warn(
                f"{told}; its weights are left, as only adapters with one weight each can be reduced"
            )
            return self._with_conflicts(self.metadata, self.found)
        after = reduced_by_attention(self.engine, before, self.meter.prompts)
        found = self.meter.measure(after)
        self._compare(told, f"with weights {', '.join(f'{weight:g}' for weight in after.values())}", found)
        composition = {"parallel": {called[name]: weight for name, weight in after.items()}}
        metadata = made(self.manager, self.metadata.name, composition, **self.fields)
        return self._with_conflicts(metadata, found, {called[name]: weight for name, weight in before.items()})

    def _merged(self, told: str) -> CompositionMetadata | MergedInstead:
        """An adapter made of the composition's, if each has one weight on all of its layers."""
        from adaptrix_core.adapters import describe
        from adaptrix_core.composition.conflicts.merging import merged
        from adaptrix_core.training.evaluation.interference import loaded_adapters

        if any(term.layers is not None or isinstance(term.weight, tuple) for term in self.mix):
            self.session.output.warn(f"{told}; it is not merged, as only adapters with one weight each can be")
            return self._with_conflicts(self.metadata, self.found)
        method, density = MERGED_BY[self.session.settings.composition.resolve_by]
        adapters = list(loaded_adapters(self.engine, [term.adapter for term in self.mix]).values())
        rank = sum(adapter.weights.max_rank for adapter in adapters)
        weights = merged([a.weights for a in adapters], [term.strength for term in self.mix], method, rank, density)
        after = self._under(weights)
        self._compare(told, f"merged by {method}", after)
        metadata = describe(
            weights,
            self.engine.base.info,
            self.metadata.name,
            performance_metrics={"conflict": {"as a mix": self.found.score, f"merged by {method}": after.score}},
            **self.fields,
        )
        return MergedInstead(metadata.model_copy(update={"base": self.metadata.base}), weights)

    def _under(self, weights: LoraWeights) -> Interference:
        """What becomes of the adapters' answers under other weights, which are no package yet."""
        from adaptrix_core.adapters import TrustPolicy, describe, write_package
        from adaptrix_core.engine import Engine

        with tempfile.TemporaryDirectory(prefix="adaptrix-merged-") as place:
            write_package(Path(place) / "merged", describe(weights, self.engine.base.info, "merged"), weights)
            other = Engine(self.engine.base, place, TrustPolicy("off"), self.engine.options)
            try:
                return self.meter.effects_under(other, "merged", weights)
            finally:
                other.loader.close()

    def _compare(self, told: str, how: str, after: Interference) -> None:
        """Tell what resolving has come to."""
        result = f"{told}; {how} {after.score:.2f} are"
        if after.score > self.session.settings.composition.conflict_limit:
            self.session.output.warn(f"{result}, which is still over the limit")
        else:
            self.session.output.note(result)

    def _told(self, found: Interference) -> str:
        lost = ", ".join(f"{name} {effect.answers_lost:.2f}" for name, effect in found.effects.items())
        return (
            f"{self.metadata.identity} is expected to lose {found.score:.2f} of its adapters' right answers ({lost}), "
            f"more than composition.conflict_limit {self.session.settings.composition.conflict_limit:g}"
        )

    def _with_conflicts(
        self, metadata: CompositionMetadata, found: Interference, before: dict[str, float] | None = None
    ) -> CompositionMetadata:
        from adaptrix_core.adapters.package.manifest import ConflictMetadata

        return metadata.model_copy(
            update={
                "conflicts": ConflictMetadata(
                    score=found.score,
                    lost={name: effect.answers_lost for name, effect in found.effects.items()},
                    prompts=sum(effect.prompts for effect in found.effects.values()),
                    max_tokens=self.meter.max_tokens,
                    base_digest=self.engine.base.info.digest,
                    layout=self.engine.base.layout,
                    limit=self.session.settings.composition.conflict_limit,
                    before=before,
                )
            }
        )
