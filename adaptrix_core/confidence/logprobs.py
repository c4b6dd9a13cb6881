"""Estimators from the log-probabilities of an answer's tokens: their sum, mean and lowest, and the perplexity."""

from __future__ import annotations

import math

from adaptrix_core.confidence.evidence import AnswerEvidence

LOWEST = 3
"""Tokens that `LowestLogprobs` looks at; measured beside 1, which is worse (docs/confidence.md)."""


class LogprobSum:
    """The sum of the tokens' log-probabilities: 0 for a certain answer, lower for longer and for less likely ones."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.logprobs)


class LogprobMean:
    """The mean of the tokens' log-probabilities: long answers lose nothing."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.logprobs) / len(answer.logprobs)


class Perplexity:
    """Minus the perplexity, ``exp(-mean log-probability)``: -1 for a certain answer. It orders as the mean does."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return -math.exp(min(-LOGPROB_MEAN.score(answer), _MOST_NATS))


class LowestLogprobs:
    """The mean of the three lowest log-probabilities: how doubtful the most doubtful tokens were."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        lowest = sorted(answer.logprobs)[:LOWEST]
        return math.fsum(lowest) / len(lowest)


_MOST_NATS = 700.0
"""Nats whose exponential is still a finite number."""
LOGPROB_SUM = LogprobSum()
LOGPROB_MEAN = LogprobMean()
PERPLEXITY = Perplexity()
LOWEST_LOGPROBS = LowestLogprobs()
