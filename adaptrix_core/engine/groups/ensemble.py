"""An ensemble: rows under different mixes that choose every token together, by their mean log-probability.

The product of experts with the shares as exponents (a logarithmic opinion pool, Genest and Zidek 1986), which is also
how ensembles of language models are decoded. Each row computes the same tokens under its own mix; the first one is
the ensemble's voice: it has the text, the grammar and the events. Knows nothing of rows but which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Member = TypeVar("Member")


class Ensemble(Generic[Member]):
    """The rows of one answer, and what those that have computed the last token say of the next one."""

    def __init__(self, members: Sequence[Member], shares: Sequence[float]) -> None:
        """shares: one for each member, above 0; only their proportions count."""
        self.members = tuple(members)
        total = sum(shares)
        self._shares = [share / total for share in shares]
        self._logprobs: dict[int, Tensor] = {}

    @property
    def voice(self) -> Member:
        """The member that tells of the ensemble."""
        return self.members[0]

    @property
    def is_complete(self) -> bool:
        """Whether every member has said what it thinks of the next token."""
        return len(self._logprobs) == len(self.members)

    def take(self, member: Member, logits: Tensor) -> None:
        """Note a member's logits ``(vocab,)`` for the next token; a second time in place of the first."""
        self._logprobs[self.members.index(member)] = logits.float().log_softmax(-1)

    def combined(self) -> Tensor:
        """The weighted mean of all members' log-probabilities ``(vocab,)``, to be sampled from as logits."""
        shares = enumerate(self._shares)
        return torch.stack([share * self._logprobs[number] for number, share in shares]).sum(0)

    def forget(self) -> None:
        """Forget what members have said, as the next token is another one, or will be computed again."""
        self._logprobs.clear()
