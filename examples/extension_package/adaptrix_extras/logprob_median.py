"""A confidence estimator: the median log-probability of an answer's tokens."""

from __future__ import annotations

from statistics import median

from adaptrix_core.confidence.evidence import AnswerEvidence


class LogprobMedian:
    """How likely a token in the middle is: a few doubtful ones cost nothing."""

    def score(self, answer: AnswerEvidence) -> float:
        """Of an answer with at least one token."""
        return median(answer.logprobs)


LOGPROB_MEDIAN = LogprobMedian()
