"""Holds an answer back until one is sure enough: others are tried in turns, or the answer is that there is none.

    adaptrix.min_confidence: {"at_least": 0.8, "fallback": ["again", "code_generation", "abstain"]}

The first answer is generated as ever, but nothing of it is told before its confidence is known; so a stream begins
late. What is told then is one answer, and of those before it who gave them and how sure they were. The policy is
`adaptrix_core/confidence/until_sure.py`; here answers are asked for, and the one that is given is told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.confidence.fallbacks import AGAIN, WITHOUT_AN_ANSWER, adapters_among
from adaptrix_core.confidence.feedback import threshold_for
from adaptrix_core.confidence.until_sure import PARAM, AnswerAttempt, Given, again, settled
from adaptrix_core.errors import InvalidRequest
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Stream
from deployments.generation.row_ends import raise_if_broken
from deployments.generation.start import RunningRequest
from deployments.openai.confidence_body import ConfidenceBound, bound_of
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import View
from deployments.shared.wire import Piece

Body = ChatRequest | CompletionRequest
Start = Callable[[Body], Awaitable[RunningRequest]]


@dataclass(frozen=True)
class _Whole:
    """An answer that was read to its end."""

    running: RunningRequest
    pieces: tuple[Piece, ...]


def asked_bound(body: Body, base_id: str, view: View) -> ConfidenceBound | None:
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
    for name in adapters_among(bound.fallback):
        if view.find(name) is None:
            raise view.not_found(name, (*WITHOUT_AN_ANSWER, AGAIN, BASE), PARAM)
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
    while isinstance(following := settled(attempts, bound.fallback), str):
        attempts.append(await _attempt(await start(_other(body, following, len(attempts), base_id)), bound, moved))
    return _replayed(following, deadline)


def _other(body: Body, fallback: str, attempts: int, base_id: str) -> Body:
    """The body that a fallback asks."""
    if fallback == AGAIN:
        seed, temperature = again(body.seed, body.temperature, attempts)
        return body.model_copy(update={"seed": seed, "temperature": temperature})
    options = body.adaptrix and body.adaptrix.model_copy(update={"mix": None, "compose": None})
    return body.model_copy(
        update={
            "model": base_id if fallback == BASE else fallback,
            "adapter_id": None,
            "lora_path": None,
            "adaptrix": options,
        }
    )


async def _attempt(
    running: RunningRequest, bound: ConfidenceBound, moved: Mapping[str, float]
) -> AnswerAttempt[_Whole]:
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
    return AnswerAttempt(
        _Whole(running, tuple(pieces)),
        running.resolved.label,
        confidence=None if judge is None else judge.confidence(0),
        is_calibrated=judge is not None and judge.is_calibrated(0),
        least=bound.at_least if answerer is None else threshold_for(bound.at_least, moved, answerer),
        num_tokens=sum((piece.token_id is not None) + piece.other_tokens for piece in pieces),
    )


def _replayed(given: Given[_Whole], deadline: Deadline) -> RunningRequest:
    """An answer that is known already, as if it came now; its usage counts the tokens of the others too."""
    whole = given.last.answer
    pieces = whole.pieces if given.words is None else (_in_words(given.words, whole.pieces[-1]),)
    end = pieces[-1]._replace(other_tokens=pieces[-1].other_tokens + given.num_other_tokens)
    head = whole.running.head
    judge = None if head.judge is None else head.judge.anew()
    return replace(
        whole.running,
        head=replace(head, judge=judge, outcome=given.told()),
        stream=Stream(_as_stream([*pieces[:-1], end]), deadline),
    )


def _in_words(words: str, end: Piece) -> Piece:
    """Words of our own in the place of an answer that ended so; the usage of its prompt stays."""
    said = end._replace(text=words, token_id=None, finish_reason="stop", stop_reason=None)
    return said._replace(logprob=None, top=(), spread=None, attention=None, other_tokens=0)


async def _as_stream(pieces: Sequence[Piece]) -> AsyncGenerator[list[Piece]]:
    yield list(pieces)
