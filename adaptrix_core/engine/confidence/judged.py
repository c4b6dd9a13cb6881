"""Scores and confidence of finished rows, where a caller has asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from adaptrix_core.adapters import DynamicLoader
from adaptrix_core.base import BaseModel
from adaptrix_core.composition.manifests.loaded import LoadedCompositions
from adaptrix_core.composition.parts import Group
from adaptrix_core.confidence.calibration import ConfidenceCalibration, answerer_of
from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.judging import confidence_of
from adaptrix_core.confidence.scoring import EvidenceNeeded, answer_scores, evidence_needed
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.digests import PackageDigest
from adaptrix_core.engine.choices import AdapterChoice, part_of, terms_of
from adaptrix_core.engine.request import Completion, SamplingParams
from adaptrix_core.injection.mix import Mix


class JudgedEngine(Protocol):
    """What judging needs of an engine."""

    loader: DynamicLoader
    base: BaseModel
    calibrations: CalibrationShelf
    compositions: LoadedCompositions

    def resolve_mix(self, choice: AdapterChoice) -> Mix:
        """The mix of a choice, by weights."""


def generate_judged(
    engine: JudgedEngine,
    generate: Callable[[SamplingParams], list[Completion]],
    choices: Iterable[AdapterChoice],
    params: SamplingParams,
    scores: Sequence[str],
    confidence: bool,
) -> list[Completion]:
    """The completions that ``generate`` gives, with scores by these estimators, and confidence where it is wanted.

    choices: who answers. An answer that was composed of others has no confidence: a calibration is of one mix. Raises
    ExtensionError.
    """
    needed = EvidenceNeeded(params.spread, params.attention).either(evidence_needed(scores))
    if confidence:
        engine.calibrations.refresh()
        needed = needed.either(engine.calibrations.evidence_needed())
    completions = generate(replace(params, logprobs=params.logprobs or 0, **needed._asdict()))
    found = _calibrations(engine, choices) if confidence else {}
    return [
        told_as_asked(_judged(one, scores, None if one.made_of else found.get(one.mix)), params) for one in completions
    ]


def evidence_of(completion: Completion) -> AnswerEvidence:
    """What a completion that was asked for with its numbers shows."""
    return AnswerEvidence(
        completion.token_ids,
        completion.logprobs or (),
        completion.spreads or (),
        completion.text,
        completion.attentions or (),
    )


def told_as_asked(completion: Completion, params: SamplingParams) -> Completion:
    """Without the numbers that were computed for estimators alone."""
    if params.logprobs is None:
        completion = replace(completion, logprobs=None, top_logprobs=None)
    return replace(
        completion,
        spreads=completion.spreads if params.spread else None,
        attentions=completion.attentions if params.attention else None,
    )


def calibration_of(engine: JudgedEngine, choice: AdapterChoice, mix: Mix) -> ConfidenceCalibration | None:
    """What is calibrated for who answered ``choice`` under ``mix``; None for an answer that is composed of others."""
    return _calibrations(engine, [choice]).get(mix)


def answerer_in(engine: JudgedEngine, choice: AdapterChoice) -> str:
    """Who answers under a choice that is one mix, as calibrations and servers name it (`answerer_of`).

    Loads what is not loaded. Raises AdapterNotFound, AdapterRejected, InvalidRequest.
    """
    return answerer_of(term.called(_package_digest(engine, term.adapter)) for term in terms_of(choice))


def _package_digest(engine: JudgedEngine, name: str) -> PackageDigest:
    package = engine.compositions.load(name) or engine.loader.load(name)
    return package.package_digest


def _calibrations(engine: JudgedEngine, choices: Iterable[AdapterChoice]) -> dict[Mix, ConfidenceCalibration | None]:
    """What is calibrated for each of these choices that is one mix, by the mix that it is computed under."""
    info = engine.base.info
    found = {}
    for choice in {id(choice): choice for choice in choices}.values():  # often one and the same for all prompts
        if _is_one_mix(engine, choice):
            mix = tuple(term.placed(info.num_layers) for term in engine.resolve_mix(choice))
            found[mix] = engine.calibrations.find(info.digest, info.layout, answerer_in(engine, choice))
    return found


def _is_one_mix(engine: JudgedEngine, choice: AdapterChoice) -> bool:
    named = engine.compositions.part(choice) if isinstance(choice, str) else None
    part = part_of(choice) if named is None else named
    return isinstance(part, Group) and part.is_plain


def _judged(completion: Completion, scores: Sequence[str], calibration: ConfidenceCalibration | None) -> Completion:
    evidence = evidence_of(completion)
    return replace(
        completion,
        scores=answer_scores(scores, evidence),
        confidence=confidence_of(evidence, completion.finish_reason, calibration),
    )
