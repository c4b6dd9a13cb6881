"""What the computation of an answer shows of how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Spread(NamedTuple):
    """How widely a token's distribution is spread: the model's own, before temperature, grammar and penalties."""

    entropy: float
    """In nats: 0 where one token has all of the probability."""
    margin: float
    """Probability of the likeliest token minus that of the second, 0 to 1."""


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
