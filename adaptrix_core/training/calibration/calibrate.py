"""Calibrates confidence: marked answers become a calibration, with what it was measured to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptrix_core.confidence.calibration import GATED_ANSWERS, ConfidenceCalibration, CoveragePoint
from adaptrix_core.confidence.fallbacks import AGAIN
from adaptrix_core.confidence.scoring import answer_scores
from adaptrix_core.engine import Engine
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.confidence.judged import answerer_in
from adaptrix_core.errors import DataError, InvalidRequest
from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.fitting import Fit, fit
from adaptrix_core.training.calibration.measures import (
    Floats,
    Marks,
    auroc,
    bootstrap_error,
    calibration_error,
    calibration_error_floor,
    coverage_curve,
    most_coverage,
    rejection_ratio,
)
from adaptrix_core.training.calibration.policies import PolicyAnswers, policy_curve

FEWEST = 50
"""Answers without which nothing is fitted; and of right and of wrong ones there must be `FEWEST_OF_EACH`."""
FEWEST_OF_EACH = 10
WANTED_ACCURACY = 0.9
"""Accuracy whose coverage is reported."""


@dataclass(frozen=True)
class Answerer:
    """Who answered, on what."""

    key: str
    """See `answerer_of`."""
    name: str
    base_lineage: str
    base_digest: str
    layout: str

    @classmethod
    def of(cls, engine: Engine, choice: AdapterChoice, name: str) -> Answerer:
        """Of an engine under a choice that is one mix. name: for people.

        Raises AdapterNotFound, AdapterRejected (also for a composition that is more than one mix), and InvalidRequest,
        also for a gate without a name.
        """
        engine.resolve_mix(choice)
        key, info = answerer_in(engine, choice), engine.base.info
        if key == GATED_ANSWERS:
            raise InvalidRequest(
                f"{name} weighs its adapters by a gate, which only a composition with a name can be calibrated with; "
                "make one with `adaptrix compose` or `adaptrix train-gate`, and calibrate that"
            )
        return cls(key, name, info.lineage, info.digest, info.layout)


@dataclass(frozen=True)
class FallbackAnswers:
    """What a fallback says to the questions of a calibration, in their order."""

    answers: Sequence[MarkedAnswer]
    calibration: ConfidenceCalibration | None = None
    """Of who gives them; None for `AGAIN`, and where nothing is calibrated: answers are then given as they are."""


NO_FALLBACKS: Mapping[str, FallbackAnswers] = {}


def calibrated(
    answers: Sequence[MarkedAnswer],
    who: Answerer,
    estimator: str,
    provenance: Mapping[str, Any],
    fallbacks: Mapping[str, FallbackAnswers] = NO_FALLBACKS,
    policies: Sequence[Sequence[str]] = (),
) -> ConfidenceCalibration:
    """Fit and measure. Raises DataError for answers that teach nothing, ExtensionError for the estimator.

    fallbacks: by name, what those of ``policies`` say, each a list of fallbacks whose curve is wanted.
    """
    told = [place for place, answer in enumerate(answers) if answer.logprobs]
    answers = [answers[place] for place in told]
    scores, right = scored(answers, estimator)
    _require_enough(right)
    try:
        fitted = fit(scores, right, [answer.group for answer in answers])
    except ValueError as error:
        raise DataError([f"{who.name}, {estimator}: {error}"]) from error
    curve = fitted.curve
    first = PolicyAnswers(right, fitted.foretold)
    after = {
        name: _policy_answers(name, [one.answers[place] for place in told], one.calibration, fitted, estimator)
        for name, one in fallbacks.items()
    }
    return ConfidenceCalibration(
        answerer=who.key,
        name=who.name,
        base_lineage=who.base_lineage,
        base_digest=who.base_digest,
        layout=who.layout,
        estimator=estimator,
        method=curve.method,
        slope=curve.slope,
        intercept=curve.intercept,
        steps=curve.steps,
        curve=_points(coverage_curve(fitted.foretold, right)),
        policies={
            ",".join(policy): _points(policy_curve(first, [after[name] for name in policy])) for policy in policies
        },
        measured=_measured(answers, scores, right, fitted),
        provenance=dict(provenance),
    )


def _points(curve: Sequence[tuple[float, float, float]]) -> tuple[CoveragePoint, ...]:
    return tuple(
        CoveragePoint(threshold=threshold, coverage=coverage, accuracy=accuracy)
        for threshold, coverage, accuracy in curve
    )


def _policy_answers(
    name: str,
    answers: Sequence[MarkedAnswer],
    calibration: ConfidenceCalibration | None,
    fitted: Fit,
    estimator: str,
) -> PolicyAnswers:
    """With confidences: of further answers by who is calibrated here, as foretold of the first ones."""
    right = np.array([answer.right for answer in answers], dtype=bool)
    says_something = np.array([bool(answer.logprobs) for answer in answers])
    if name != AGAIN and calibration is None:
        return PolicyAnswers(right, None)
    by = estimator if calibration is None else calibration.estimator
    scores = np.array([_score(answer, by) if answer.logprobs else 0.0 for answer in answers])
    known = (
        fitted.foretell(scores)
        if calibration is None
        else np.array([calibration.probability(score) for score in scores])
    )
    return PolicyAnswers(right, np.where(says_something, known, 0.0))


def scored(answers: Sequence[MarkedAnswer], estimator: str) -> tuple[Floats, Marks]:
    """The scores of answers with tokens by one estimator, and whether each is right. Raises ExtensionError.

    An estimator that looks at attention must have been among those of `collect`.
    """
    scores = [_score(answer, estimator) for answer in answers]
    return np.array(scores), np.array([answer.right for answer in answers], dtype=bool)


def _score(answer: MarkedAnswer, estimator: str) -> float:
    if estimator in answer.scores:
        return answer.scores[estimator]
    return answer_scores([estimator], answer.evidence)[estimator]


def probability_figures(probabilities: Floats, right: Marks) -> dict[str, Any]:
    """How well probabilities fit: their calibration error beside what chance alone makes of it."""
    return {
        "answers": len(right),
        "right": round(float(right.mean()), 4),
        "mean_confidence": round(float(probabilities.mean()), 4),
        "ece": round(calibration_error(probabilities, right), 4),
        "ece_floor": round(calibration_error_floor(probabilities), 4),
    }


def score_figures(scores: Floats, right: Marks) -> dict[str, Any]:
    """How well scores order; nothing where all answers are right, or all wrong."""
    if right.all() or not right.any():
        return {}
    return {
        "auroc": round(auroc(scores, right), 4),
        "auroc_se": round(bootstrap_error(auroc, scores, right), 4),
        "prr": round(rejection_ratio(scores, right), 4),
        "prr_se": round(bootstrap_error(rejection_ratio, scores, right), 4),
    }


def _measured(answers: Sequence[MarkedAnswer], scores: Floats, right: Marks, fitted: Fit) -> dict[str, Any]:
    kinds = dict.fromkeys(answer.kind for answer in answers)
    by_kind = {}
    for kind in kinds:
        mine = np.array([answer.kind == kind for answer in answers])
        by_kind[kind] = probability_figures(fitted.foretold[mine], right[mine]) | score_figures(
            scores[mine], right[mine]
        )
    return {
        **probability_figures(fitted.foretold, right),
        **score_figures(scores, right),
        f"coverage_at_{WANTED_ACCURACY:.0%}": round(most_coverage(fitted.foretold, right, WANTED_ACCURACY), 4),
        "log_loss": {method: round(loss, 4) for method, loss in fitted.losses.items()},
        "kinds": by_kind,
    }


def _require_enough(right: Marks) -> None:
    good = int(right.sum())
    bad = len(right) - good
    if len(right) < FEWEST or min(good, bad) < FEWEST_OF_EACH:
        raise DataError(
            [
                f"{len(right)} answers, {good} right and {bad} wrong: a calibration needs {FEWEST} at least, and "
                f"{FEWEST_OF_EACH} of each; give more questions, and harder or easier ones"
            ]
        )
