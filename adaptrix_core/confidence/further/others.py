"""Estimators from other mixes: how likely the answer is under them, and whether theirs is the same."""

from __future__ import annotations

import math

from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.further.agreement import share_that_agrees


class Counterfactual:
    """The answer's log-likelihood minus that under the base model: how much likelier its adapter has made it."""

    needs_further = ("under_base",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        assert answer.further.under_base is not None
        return math.fsum(answer.logprobs) - answer.further.under_base


class OthersLikelihood:
    """The answer's log-likelihood under other mixes, on average."""

    needs_further = ("under_others",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return math.fsum(answer.further.under_others) / len(answer.further.under_others)


class OthersAgree:
    """The share of other mixes whose own answer states the same, as votes compare them."""

    needs_further = ("other_answers",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return share_that_agrees(answer.text, answer.further.other_answers)


COUNTERFACTUAL = Counterfactual()
OTHERS_LIKELIHOOD = OthersLikelihood()
OTHERS_AGREE = OthersAgree()
