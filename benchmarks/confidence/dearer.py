"""Estimators that need further computing, on the same answers as the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from adaptrix_core.confidence.evidence import AnswerEvidence, FurtherEvidence
from adaptrix_core.confidence.scoring import answer_scores
from adaptrix_core.training.calibration.answers import MarkedAnswer
from benchmarks.confidence.figures import Judged, row_of

DEARER = (
    "samples_agree", "samples_alike", "cocoa", "others_likelihood", "counterfactual", "others_agree", "code_runs",
)  # fmt: skip
Further = Mapping[str, Mapping[int, FurtherEvidence]]
"""By family, then by number of the question."""
_CODE = "code_generation"
_RUNS = 1000.0
"""Nats by which code that runs is above any that does not."""


def dearer_figures(answers: Mapping[str, Sequence[MarkedAnswer]], further: Further) -> dict[str, dict[str, float]]:
    """By estimator, its figures on the questions for which there is further evidence."""
    judged: dict[str, dict[str, Judged]] = {}
    for family, by_number in further.items():
        chosen = [answers[family][number] for number in by_number]
        evidence = [
            replace(answer.evidence, further=one) for answer, one in zip(chosen, by_number.values(), strict=True)
        ]
        for title, column in _columns(family, evidence).items():
            judged.setdefault(title, {})[family] = Judged(chosen, np.array(column))
    return {title: row_of(by_family) for title, by_family in judged.items()}


def _columns(family: str, evidence: Sequence[AnswerEvidence]) -> dict[str, list[float]]:
    """By estimator, a score of each answer."""
    of_family = [name for name in DEARER if name != "code_runs" or family == _CODE]
    scores = [answer_scores(["logprob_sum", *of_family], one) for one in evidence]
    columns = {
        name: [by_name[name] for by_name in scores]
        for name in ("logprob_sum", *of_family)
        if all(name in by_name for by_name in scores)
    }
    if "code_runs" in columns:
        both = zip(columns["code_runs"], columns["logprob_sum"], strict=True)
        columns["code_runs, then logprob_sum"] = [_RUNS * runs + own for runs, own in both]
    return columns
