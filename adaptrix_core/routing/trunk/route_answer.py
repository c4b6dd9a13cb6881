"""The router's answer in plain data, for other processes: what it says, and what it leaves to the replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.trunk.settlement import OpenChoice
from adaptrix_core.routing.vote import SignalVote


@dataclass(frozen=True)
class RouteAnswer:
    """The router's decision, in the form of headers and of /v1/route."""

    mix: tuple[Term[str], ...]
    """By adapter name; ``()`` is the base model."""
    scores: Mapping[str, float]
    score: float
    """Score of the chosen adapter; where the base was chosen, the best score, which was too low."""
    confidence: float
    reason: str
    previous: str | None = None
    """Adapter that the earlier turns of this conversation were routed to."""
    votes: tuple[SignalVote, ...] = ()
    """What each signal said, where that was asked for."""
    touches: tuple[str, ...] = ()
    """Likewise: the adapters that the message's parts are for, in order."""
    left_open: OpenChoice | None = None
    """Where the replica has a say too, in the trunk: what it needs for that."""

    @property
    def adapter(self) -> str | None:
        """The adapter that was chosen; None is the base model."""
        return next((term.adapter for term in self.mix), None)

    @classmethod
    def of(cls, decision: Decision, explained: bool = False, left_open: OpenChoice | None = None) -> RouteAnswer:
        """A decision. explained: with what each signal said."""
        return cls(
            mix=tuple(Term(name, weight) for name, weight in decision.mix_names.items()),
            scores=dict(decision.scores),
            score=decision.score,
            confidence=decision.confidence,
            reason=decision.reason,
            previous=decision.previous,
            votes=decision.votes if explained else (),
            left_open=left_open,
        )
