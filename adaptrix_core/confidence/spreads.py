"""Estimators from the spread of each token's distribution: entropies, and the margin over the second token.

The engine computes spreads for the rows that ask for them, and for no others.
"""

from __future__ import annotations

import math

from adaptrix_core.confidence.evidence import AnswerEvidence


class EntropyMean:
    """Minus the mean entropy of the tokens' distributions, in nats: 0 for a certain answer."""

    needs_spread = True

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return -math.fsum(spread.entropy for spread in answer.spreads) / len(answer.spreads)


class EntropyMax:
    """Minus the largest entropy of a token's distribution, in nats."""

    needs_spread = True

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return -max(spread.entropy for spread in answer.spreads)


class MarginMin:
    """The smallest margin between the likeliest token and the second, 0 to 1."""

    needs_spread = True

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return min(spread.margin for spread in answer.spreads)


ENTROPY_MEAN = EntropyMean()
ENTROPY_MAX = EntropyMax()
MARGIN_MIN = MarginMin()
