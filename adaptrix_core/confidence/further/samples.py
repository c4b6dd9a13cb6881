"""Estimators from samples: further answers of the same mix to the same question."""

from __future__ import annotations

import math

from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.further.agreement import share_that_agrees


class SamplesAgree:
    """The share of samples that state the same answer, as votes compare them (self-consistency, arXiv:2203.11171)."""

    needs_further = ("samples",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return share_that_agrees(answer.text, answer.further.samples)


class SamplesAlike:
    """The mean similarity in meaning between the answer and its samples, -1 to 1."""

    needs_further = ("similarities",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.further.similarities) / len(answer.further.similarities)


class Cocoa:
    """Minus CoCoA's uncertainty (Vashurin et al. 2025, arXiv:2502.04964): 0 for a certain answer.

    The sum of the answer's log-probabilities, times how far samples are from it in meaning: 1 minus `SamplesAlike`.
    """

    needs_further = ("similarities",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.logprobs) * (1 - SAMPLES_ALIKE.score(answer))


SAMPLES_AGREE = SamplesAgree()
SAMPLES_ALIKE = SamplesAlike()
COCOA = Cocoa()
