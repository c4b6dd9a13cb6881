"""Holds an answer back until one is sure enough: others are tried in turns, or the answer is that there is none.

    adaptrix.min_confidence: {"at_least": 0.8, "fallback": ["again", "code_generation", "abstain"]}

The first answer is generated as ever, but nothing of it is told before its confidence is known; so a stream begins
late. What is told then is one answer, and of those before it who gave them and how sure they were.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.confidence.fallbacks import AGAIN, WITHOUT_AN_ANSWER
from adaptrix_core.confidence.feedback import threshold_for
from adaptrix_core.errors import InvalidRequest
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Stream
from deployments.generation.row_ends import raise_if_broken
from deployments.generation.start import RunningRequest
from deployments.openai.confidence_body import ConfidenceBound, bound_of
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import Catalogue
from deployments.shared.wire import Piece

PARAM = "adaptrix.min_confidence"
SAID = {
    "abstain": "I am not sure enough of an answer to give one.",
    "ask": "I am not sure that I have understood this. Could you put it in other words, or say more?",
}
"""The words in the place of an answer, by fallback."""
AGAIN_TEMPERATURE = 0.7
"""Temperature of a further answer by the same adapter; the greedy one would be the same again."""

Body = ChatRequest | CompletionRequest
Start = Callable[[Body], Awaitable[RunningRequest]]


@dataclass(frozen=True)
class _Attempt:
    """A whole answer that nobody has seen yet."""

    running: RunningRequest
    pieces: tuple[Piece, ...]
    confidence: float | None
    least: float
    """The confidence from which it is sure enough."""

    @property
    def is_sure(self) -> bool:
        """Whether it may be given; where nothing is calibrated for who gave it, it may."""
        return not self.is_calibrated if self.confidence is None else self.confidence >= self.least

    @property
    def is_calibrated(self) -> bool:
        """Whether its confidence can be known; an answer that was cut off has none all the same."""
        judge = self.running.head.judge
        return judge is not None and judge.is_calibrated(0)

    @property
    def num_tokens(self) -> int:
        """Tokens that were generated for it."""
        return sum((piece.token_id is not None) + piece.other_tokens for piece in self.pieces)

    def told(self) -> dict[str, Any]:
        """What is told of it where another one takes its place."""
        return {
            "adapter": self.running.resolved.label,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "completion_tokens": self.num_tokens,
        }


def asked_bound(body: Body, base_id: str, catalogue: Catalogue) -> ConfidenceBound | None:
    """The bound that a body asks for.

    Raises InvalidRequest where the body asks for more than one answer, AdapterNotFound for an unknown fallback.
    """
    bound = bound_of(body.adaptrix.min_confidence) if body.adaptrix is not None else None
    if bound is None:
        return None
    prompts = 1 if isinstance(body, ChatRequest) else len(body.prompts())
    if body.n > 1 or prompts > 1 or (body.adaptrix is not None and body.adaptrix.fork is not None):
        raise InvalidRequest(
            f"{PARAM} is for one answer; n, prompts and adaptrix.fork ask for several: send several requests",
            param=PARAM,
        )
    for name in bound.fallback:
        if name not in (*WITHOUT_AN_ANSWER, AGAIN, BASE) and catalogue.find(name) is None:
            raise catalogue.not_found(name, (*WITHOUT_AN_ANSWER, AGAIN, BASE), PARAM)
    words = [name for name in bound.fallback if name in WITHOUT_AN_ANSWER]
    if words and (body.output_form() is not None or body.chat_options().toolset is not None):
        raise InvalidRequest(
            f"fallback {words[0]!r} answers in words, and this request asks for another form; leave out one of them",
            param=PARAM,
        )
    return bound


async def until_sure(
    body: Body,
    bound: ConfidenceBound,
    start: Start,
    deadline: Deadline,
    base_id: str,
    moved: Mapping[str, float],
) -> RunningRequest:
    """The first answer that is sure enough, as a request whose stream has all of it.

    start: begins to answer a body. moved: by who answers, how far the tenant's labels have moved what it asks for
    (`confidence/feedback.py`). A fallback for which nothing is calibrated answers in any case. Raises
    InvalidRequest (not_calibrated) where the first answer's confidence cannot be known, and any error of an attempt.
    """
    attempts = [await _attempt(await start(body), bound, moved)]
    first = attempts[0]
    if not first.is_calibrated:
        raise InvalidRequest(
            f"nothing is calibrated for {first.running.resolved.label!r} on this base model and its layout, so how "
            "sure its answer is cannot be known; `adaptrix calibrate` measures it",
            code="not_calibrated",
            param=PARAM,
        )
    for name in bound.fallback:
        if attempts[-1].is_sure:
            break
        if name in WITHOUT_AN_ANSWER:
            return _in_words(attempts, name, deadline)
        attempts.append(await _attempt(await start(_other(body, name, base_id)), bound, moved))
    return _given(attempts, deadline)


def _other(body: Body, fallback: str, base_id: str) -> Body:
    """The body that a fallback asks."""
    if fallback == AGAIN:
        seed = None if body.seed is None else body.seed + 1
        warmer = body.temperature if body.temperature else AGAIN_TEMPERATURE
        return body.model_copy(update={"seed": seed, "temperature": warmer})
    options = body.adaptrix and body.adaptrix.model_copy(update={"mix": None, "compose": None})
    return body.model_copy(
        update={
            "model": base_id if fallback == BASE else fallback,
            "adapter_id": None,
            "lora_path": None,
            "adaptrix": options,
        }
    )


async def _attempt(running: RunningRequest, bound: ConfidenceBound, moved: Mapping[str, float]) -> _Attempt:
    """The whole answer, read to its end."""
    pieces: list[Piece] = []
    async with aclosing(running.stream) as stream:
        async for some in stream:
            raise_if_broken(some)
            pieces += some
    judge = running.head.judge
    for piece in pieces:
        running.head.look(piece)
    answerer = None if judge is None else judge.answerer(0)
    least = bound.at_least if answerer is None else threshold_for(bound.at_least, moved, answerer)
    return _Attempt(running, tuple(pieces), None if judge is None else judge.confidence(0), least)


def _given(attempts: Sequence[_Attempt], deadline: Deadline) -> RunningRequest:
    """The last answer where it is sure, else the surest of all, marked as not sure enough."""
    chosen, below = attempts[-1], {}
    if not chosen.is_sure:
        chosen = max(attempts, key=lambda attempt: -1.0 if attempt.confidence is None else attempt.confidence)
        below = {"below_min_confidence": True}
    others = [attempt for attempt in attempts if attempt is not chosen]
    told = {"attempts": [attempt.told() for attempt in others]} if others else {}
    return _replayed(chosen, _counting(chosen.pieces, others), told | below, deadline)


def _counting(pieces: Sequence[Piece], others: Sequence[_Attempt]) -> Sequence[Piece]:
    """The pieces of an answer, whose usage counts the tokens of the others too: they were computed for it."""
    more = sum(attempt.num_tokens for attempt in others)
    return (*pieces[:-1], pieces[-1]._replace(other_tokens=pieces[-1].other_tokens + more))


def _in_words(attempts: Sequence[_Attempt], fallback: str, deadline: Deadline) -> RunningRequest:
    """Words of our own in the place of an answer, with the usage of the last attempt's prompt."""
    last = attempts[-1]
    end = last.pieces[-1]._replace(text=SAID[fallback], token_id=None, finish_reason="stop", stop_reason=None)
    words = end._replace(logprob=None, top=(), spread=None, attention=None, other_tokens=0)
    outcome = {"attempts": [attempt.told() for attempt in attempts], "instead_of_an_answer": fallback}
    return _replayed(last, _counting((words,), attempts), outcome, deadline)


def _replayed(
    attempt: _Attempt, pieces: Sequence[Piece], outcome: dict[str, Any], deadline: Deadline
) -> RunningRequest:
    """An answer that is known already, as if it came now."""
    head = attempt.running.head
    judge = None if head.judge is None else head.judge.anew()
    return replace(
        attempt.running,
        head=replace(head, judge=judge, outcome=outcome),
        stream=Stream(_as_stream(pieces), deadline),
    )


async def _as_stream(pieces: Sequence[Piece]) -> AsyncGenerator[list[Piece]]:
    yield list(pieces)
