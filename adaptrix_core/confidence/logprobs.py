"""The estimator ``logprob_sum``: the natural-log probability of the whole answer."""

from __future__ import annotations

import math

from adaptrix_core.confidence.evidence import AnswerEvidence


class LogprobSum:
    """The sum of the tokens' log-probabilities: 0 for a certain answer, lower for longer and for less likely ones."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.logprobs)


LOGPROB_SUM = LogprobSum()
