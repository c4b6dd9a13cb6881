"""What the computation of an answer shows of how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Spread(NamedTuple):
    """How widely a token's distribution is spread: the model's own, before temperature, grammar and penalties."""

    entropy: float
    """In nats: 0 where one token has all of the probability."""
    margin: float
    """Probability of the likeliest token minus that of the second, 0 to 1."""


class TokenAttention(NamedTuple):
    """How the token before a generated one attended, in the layers of `middle_layers`: ``(layers, heads)`` each.

    NaN in layers that were not computed for the token, as others had its keys and values.
    """

    to_previous: NDArray[np.float32]
    """Weight on the token before it, 0 to 1."""
    entropy: NDArray[np.float32]
    """Entropy of its weights on all tokens that it saw, in nats."""


def middle_layers(num_layers: int) -> range:
    """The layers whose attention is told: the middle third, as in RAUQ by its authors (lm-polygraph)."""
    return range(num_layers // 3, min(-(-2 * num_layers // 3) + 1, num_layers))


@dataclass(frozen=True)
class FurtherEvidence:
    """What has to be computed further to be known of an answer; empty or None where it was not."""

    samples: tuple[str, ...] = ()
    """Answers of the same mix to the same question, sampled."""
    similarities: tuple[float, ...] = ()
    """How alike the answer and each sample are in meaning: the cosine of their embeddings, -1 to 1."""
    other_answers: tuple[str, ...] = ()
    """Answers of other mixes to the same question."""
    under_base: float | None = None
    """Natural-log probability of the whole answer under the base model."""
    under_others: tuple[float, ...] = ()
    """The same under each other mix."""
    runs: bool | None = None
    """Whether the answer's code runs."""

    def has(self, name: str) -> bool:
        """Whether the field of this name was computed."""
        return getattr(self, name) not in ((), None)


NOTHING_FURTHER = FurtherEvidence()


@dataclass(frozen=True)
class AnswerEvidence:
    """One finished answer, as estimators see it."""

    token_ids: tuple[int, ...]
    """Generated tokens, the one that ended the answer included where it was generated."""
    logprobs: tuple[float, ...]
    """Natural-log probability of each of these tokens, by the model's own distribution."""
    spreads: tuple[Spread, ...] = ()
    """The spread at each of these tokens; empty where no estimator asked for them (`needs_spread`)."""
    text: str = ""
    attention: tuple[TokenAttention, ...] = ()
    """From which attention each of these tokens was chosen; empty where no estimator asked for it
    (`needs_attention`)."""
    further: FurtherEvidence = NOTHING_FURTHER
    """What estimators with ``needs_further`` look at."""
