"""Estimators that need further computing, and policies of holding back, on the same answers as the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.calibrate import scored
from adaptrix_core.training.calibration.fitting import fit
from benchmarks.confidence.figures import Judged, row_of
from benchmarks.confidence.further import FurtherEvidence

Evidence = Mapping[str, Mapping[int, FurtherEvidence]]
"""By family, then by number of the question."""
_RUNS = 1000.0
"""Nats by which code that runs is above any that does not."""


def dearer_figures(answers: Mapping[str, Sequence[MarkedAnswer]], further: Evidence) -> dict[str, dict[str, float]]:
    """By estimator, its figures on the questions for which there is further evidence."""
    embedder = TextEmbedder()
    judged: dict[str, dict[str, Judged]] = {}
    for family, evidence in further.items():
        chosen = [answers[family][number] for number in evidence]
        for title, column in _columns(family, chosen, list(evidence.values()), embedder).items():
            judged.setdefault(title, {})[family] = Judged(chosen, np.array(column))
    return {title: row_of(by_family) for title, by_family in judged.items()}


def _columns(
    family: str, answers: Sequence[MarkedAnswer], evidence: Sequence[FurtherEvidence], embedder: TextEmbedder
) -> dict[str, list[float]]:
    """By estimator, a score of each answer."""
    both = list(zip(answers, evidence, strict=True))
    own = [sum(answer.logprobs) for answer in answers]
    meaning = [_alike(embedder, answer.text, one.samples) for answer, one in both]
    columns = {
        "logprob_sum, here": own,
        "samples that state the same": [_agreeing(answer.text, one.samples) for answer, one in both],
        "samples that mean the same (embedder)": meaning,
        "CoCoA: logprob_sum x meaning": [p * (1 - s) for p, s in zip(own, meaning, strict=True)],
        "counterfactual: log-likelihood, own minus base": [
            p - e.under_base for p, e in zip(own, evidence, strict=True)
        ],
        "log-likelihood under another adapter": [e.under_other for e in evidence],
    }
    if family == "code_generation":
        columns["code runs"] = [float(e.runs) for e in evidence]
        columns["code runs, then logprob_sum"] = [_RUNS * e.runs + p for p, e in zip(own, evidence, strict=True)]
    return columns


def coverage_by_policy(answers: Mapping[str, Sequence[MarkedAnswer]], further: Evidence) -> dict[str, float]:
    """Coverage at 90 % accuracy of these questions: all answers, a threshold, and a threshold with `again`.

    Confidences are foretold by calibrations on the answers to other questions.
    """
    first, again, right, again_right = [], [], [], []
    for family, evidence in further.items():
        scores, marks = scored(answers[family], "logprob_sum")
        fitted = fit(scores, marks, [answer.group for answer in answers[family]])
        first += [fitted.foretold[number] for number in evidence]
        right += [bool(marks[number]) for number in evidence]
        again += fitted.curve.probabilities(np.array([one.sample_logprob for one in evidence.values()])).tolist()
        again_right += [one.sample_right for one in evidence.values()]
    one, two = np.array(first), np.array(again)
    marks_one, marks_two = np.array(right), np.array(again_right)
    best = {"no policy": float(marks_one.mean() >= 0.9), "min_confidence, abstain": 0.0, "min_confidence, again": 0.0}
    for threshold in np.unique(np.concatenate([one, two])):
        given_first, given_again = one >= threshold, (one < threshold) & (two >= threshold)
        for policy, kept, correct in (
            ("min_confidence, abstain", given_first, marks_one & given_first),
            ("min_confidence, again", given_first | given_again, (marks_one & given_first) | (marks_two & given_again)),
        ):
            if kept.sum() >= 20 and correct.sum() / kept.sum() >= 0.9:
                best[policy] = max(best[policy], float(kept.mean()))
    return {policy: round(value, 4) for policy, value in best.items()} | {
        "accuracy of all answers": round(float(marks_one.mean()), 4)
    }


def _agreeing(answer: str, samples: Sequence[str]) -> float:
    """The share of samples that state the same answer; the whole text where none is stated."""
    meant = stated_answer(answer) or answer.strip()
    return sum((stated_answer(one) or one.strip()) == meant for one in samples) / len(samples)


def _alike(embedder: TextEmbedder, answer: str, samples: Sequence[str]) -> float:
    """The mean cosine between an answer and samples."""
    vectors = embedder.embed([answer or " ", *(one or " " for one in samples)])
    return float((vectors[1:] @ vectors[0]).mean())
