"""Estimators from attention: RAUQ, by what tokens attend to their predecessors, and the entropy of attention.

The engine notes attention in the middle layers, for the rows that ask. A generated token attends when it is read,
which is for the next one to be chosen; so the attention of an answer's last token is never known, and does not count.
"""

from __future__ import annotations

import numpy as np

from adaptrix_core.confidence.evidence import AnswerEvidence

ALPHA = 0.2
"""Weight of a token's own probability in RAUQ, as its authors chose it for all models and tasks."""
_LEAST = 1e-30
"""Least confidence whose logarithm is taken."""


class Rauq:
    """Minus RAUQ's uncertainty (recurrent attention-based uncertainty quantification, Vazhentsev et al. 2025,
    arXiv:2505.20045): 0 for a certain answer.

    In each middle layer one head counts: the one whose tokens attend most to their predecessors, ``a``, on average over
    the answer. A token's confidence is ``c_i = ALPHA * p_i + (1 - ALPHA) * a_i * c_(i-1)``, the first one's ``p_1``,
    with ``p`` its probability. The score is the mean of the logarithms of ``c``, in the layer where it is lowest.
    """

    needs_attention = True

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        probabilities = np.exp(np.array(answer.logprobs[: max(1, len(answer.logprobs) - 1)]))
        if len(probabilities) == 1:
            return float(np.log(max(probabilities[0], _LEAST)))
        weights = np.stack([attention.to_previous for attention in answer.attention[2:]])  # (tokens, layers, heads)
        heads = np.nan_to_num(weights).mean(0).argmax(-1)
        chosen = np.take_along_axis(weights, heads[None, :, None], -1)[..., 0]
        confidence = np.full(len(heads), probabilities[0])
        total = np.log(np.maximum(confidence, _LEAST))
        for probability, weight in zip(probabilities[1:], chosen, strict=True):
            carried = ALPHA * probability + (1 - ALPHA) * weight * confidence
            confidence = np.where(np.isnan(weight), probability, carried)  # not computed here: as for the first token
            total += np.log(np.maximum(confidence, _LEAST))
        return float(total.min() / len(probabilities))


class AttentionEntropy:
    """Minus the mean entropy of the answer's tokens' attention over heads and middle layers, in nats."""

    needs_attention = True

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        read = [attention.entropy for attention in answer.attention[1:]]
        known = np.stack(read) if read else np.zeros(1)
        return -float(np.nanmean(known)) if not np.isnan(known).all() else 0.0


RAUQ = Rauq()
ATTENTION_ENTROPY = AttentionEntropy()
