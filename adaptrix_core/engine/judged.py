"""Scores and confidence of finished rows, where a caller has asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from adaptrix_core.adapters import DynamicLoader
from adaptrix_core.base import BaseModel
from adaptrix_core.confidence.calibration import ConfidenceCalibration, answerer_of
from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.judging import confidence_of
from adaptrix_core.confidence.scoring import EvidenceNeeded, answer_scores, evidence_needed
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.engine.request import Completion, SamplingParams
from adaptrix_core.injection.mix import Mix


class JudgedEngine(Protocol):
    """What judging needs of an engine."""

    loader: DynamicLoader
    base: BaseModel
    calibrations: CalibrationShelf


def generate_judged(
    engine: JudgedEngine,
    generate: Callable[[SamplingParams], list[Completion]],
    params: SamplingParams,
    scores: Sequence[str],
    confidence: bool,
) -> list[Completion]:
    """The completions that ``generate`` gives, with scores by these estimators, and confidence where it is wanted.

    An answer that was composed of others has no confidence: a calibration is of one mix. Raises ExtensionError.
    """
    needed = EvidenceNeeded(params.spread, params.attention).either(evidence_needed(scores))
    if confidence:
        engine.calibrations.refresh()
        needed = needed.either(engine.calibrations.evidence_needed())
    completions = generate(replace(params, logprobs=params.logprobs or 0, **needed._asdict()))
    found: dict[Mix, ConfidenceCalibration | None] = {}
    if confidence:
        info, mixes = engine.base.info, {one.mix for one in completions if not one.made_of}
        packages = _packages(engine.loader, mixes)
        for mix in mixes:
            answerer = answerer_of(term.called(packages[term.adapter]) for term in mix)
            found[mix] = engine.calibrations.find(info.digest, info.layout, answerer)
    return [
        _told_as_asked(_judged(one, scores, None if one.made_of else found.get(one.mix)), params) for one in completions
    ]


def answerer_in(engine: JudgedEngine, mix: Mix) -> str:
    """Who answers under a mix of loaded adapters, as calibrations name it (`answerer_of`)."""
    packages = _packages(engine.loader, [mix])
    return answerer_of(term.called(packages[term.adapter]) for term in mix)


def _packages(loader: DynamicLoader, mixes: Iterable[Mix]) -> dict[WeightsDigest, PackageDigest]:
    """The package of each adapter in these mixes. Where two hold the same weights, either stands for both."""
    wanted = {term.adapter for mix in mixes for term in mix}
    named = {digest: name for name, digest in loader.loaded_names().items() if digest in wanted}
    return {digest: loader.load(name).package_digest for digest, name in named.items()}


def _judged(completion: Completion, scores: Sequence[str], calibration: ConfidenceCalibration | None) -> Completion:
    evidence = AnswerEvidence(
        completion.token_ids,
        completion.logprobs or (),
        completion.spreads or (),
        completion.text,
        completion.attentions or (),
    )
    return replace(
        completion,
        scores=answer_scores(scores, evidence),
        confidence=confidence_of(evidence, completion.finish_reason, calibration),
    )


def _told_as_asked(completion: Completion, params: SamplingParams) -> Completion:
    """Without the numbers that were computed for estimators alone."""
    if params.logprobs is None:
        completion = replace(completion, logprobs=None, top_logprobs=None)
    return replace(
        completion,
        spreads=completion.spreads if params.spread else None,
        attentions=completion.attentions if params.attention else None,
    )
