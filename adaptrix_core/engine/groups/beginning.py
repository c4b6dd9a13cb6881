"""Who begins an answer where what its question is about decides: settled at the cut, once, before the first token.

Knows numbers of rules, and mixes. What a question is about says whoever reads questions, and the engine's texts are
none of its business: it is handed the answer of that reading by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from adaptrix_core.engine.deferred import Deferred, Means, Settled
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.injection.mix import constant

if TYPE_CHECKING:
    from adaptrix_core.engine.engine import Engine


@dataclass(frozen=True)
class Question:
    """A prompt's question, as rules ask about it."""

    ranges: tuple[tuple[int, int], ...]
    """See `Deferred.questions`. Empty where the prompt does not tell where the question stands: no rule holds then."""
    holds: Callable[[Means | None], int | None]
    """Number of the rule that holds, by the means of these ranges; None where none does. Called as `SettlingPolicy`."""


class QuestionReader(Protocol):
    """Reads the questions of one engine's prompts."""

    def __call__(self, prompt: Any, token_ids: Sequence[int], about: Sequence[str], /) -> Question:
        """A prompt's question, for rules of which each asks about one of these adapters, loaded by their names.

        token_ids: the whole prompt, encoded. Raises InvalidRequest where the engine cannot read a question, and for an
        adapter that does not say what it is for; AdapterNotFound.
        """


def reader_of_questions(engine: Engine) -> QuestionReader:
    """The reader of the routing's room, which is built on the engine: imported once somebody asks about a question."""
    reader: QuestionReader = import_module("adaptrix_core.routing.trunk.questions").QuestionsOf(engine)
    return reader


def left_to_question(
    request: GenerationRequest, question: Question, rules: Sequence[Settled], otherwise: Settled
) -> GenerationRequest:
    """The request, which begins as the rule says that holds, and as ``otherwise`` says where none does."""

    def policy(means: Means | None) -> Settled:
        number = question.holds(means)
        return otherwise if number is None else rules[number]

    if not question.ranges:
        now = policy(None)
        return replace(request, schedules=(constant(now.mix),), params=now.params or request.params)
    return replace(request, schedules=(constant(()),), deferred=Deferred(question.ranges, policy))
