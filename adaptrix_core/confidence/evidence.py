"""What the computation of an answer shows of how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerEvidence:
    """One finished answer, as estimators see it."""

    token_ids: tuple[int, ...]
    """Generated tokens, the one that ended the answer included where it was generated."""
    logprobs: tuple[float, ...]
    """Natural-log probability of each of these tokens, by the model's own distribution."""
