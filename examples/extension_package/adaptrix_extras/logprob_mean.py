"""A confidence estimator: the mean log-probability of an answer's tokens."""

from __future__ import annotations

from adaptrix_core.confidence.evidence import AnswerEvidence


class LogprobMean:
    """Larger than `logprob_sum` by the number of tokens: long answers lose nothing."""

    def score(self, answer: AnswerEvidence) -> float:
        """0 for an answer without tokens."""
        return sum(answer.logprobs) / max(1, len(answer.logprobs))


LOGPROB_MEAN = LogprobMean()
