"""One call whose question decides who begins its answer, and what the ingress is told of that.

A replica that goes on with what a lost one had begun is told who began, and does not ask again.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.engine import GenerationRequest, TokenEvent
from adaptrix_core.engine.deferred import Means, Settled
from adaptrix_core.engine.groups.beginning import Question, left_to_question
from deployments.shared.wire import Piece


class AskedQuestion:
    """A question, and the rule that has held for it."""

    def __init__(self, question: Question, num_changes: int) -> None:
        """num_changes: of the call, from which rules are counted on in `Piece.began`."""
        self._question = question
        self._num_changes = num_changes
        self._rule: int | None = None

    @classmethod
    def answered(cls, began: int | None, num_changes: int) -> AskedQuestion:
        """One that another replica has asked. began: what its pieces have told."""
        return cls(Question((), lambda _: None if began is None else began - num_changes), num_changes)

    def begins(self, request: GenerationRequest, rules: Sequence[Settled], otherwise: Settled) -> GenerationRequest:
        """See `left_to_question`."""
        return left_to_question(request, Question(self._question.ranges, self._noted), rules, otherwise)

    def _noted(self, means: Means | None) -> int | None:
        self._rule = self._question.holds(means)
        return self._rule

    def told_with(self, events: Sequence[TokenEvent], num_prompt: int, pieces: list[Piece]) -> list[Piece]:
        """The pieces of these events, the first one of each row with the rule that held for it, if one did."""
        if self._rule is None:
            return pieces
        began = self._num_changes + self._rule
        return [
            piece._replace(began=began) if event.position == num_prompt and event.token_id is not None else piece
            for event, piece in zip(events, pieces, strict=True)
        ]
