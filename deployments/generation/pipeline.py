"""The path of a token through the ingress: its steps in order, and its one end.

From the replica to the client, for each prompt of a request (a call):

1. source              the pieces that one replica sends (`ports.py`)
2. ask another         a call that one replica refuses goes to the next one (`ask_another.py`)
3. continue elsewhere  a call whose replica is lost is continued on another one (`continue_elsewhere.py`)

and once for the request:

4. merge               of several prompts: each row gets an index of its own (`merge_streams.py`)
5. deadline            where the client has set one: no wait goes beyond it (`deadline.py`)
6. count               the pieces that pass, and the error that ends the stream (`Watch`)

A composition of several rows or steps is between 3 and 4 (`composed_stream.py`): to what follows it is one call.
Steps 1 to 3 are one loop, a `CallStream` for each call, which reads the source and, when that breaks off, asks the
policies of 2 and 3 what follows. Steps 4 to 6 are a `Stream`, and its `aclose` is the end: it closes the sources, which
cancels the replicas' calls, which aborts their rows in the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.routing.trunk.deferral import SettledChoice
from deployments.generation.ask_another import MOST_KINDS
from deployments.generation.call_stream import NO_ANSWER, CallStream
from deployments.generation.composed_call import ComposedCall
from deployments.generation.composed_stream import composed_stream
from deployments.generation.continue_elsewhere import ContinueElsewhere
from deployments.generation.deadline import Deadline
from deployments.generation.merge_streams import MergedStreams
from deployments.generation.ports import PieceStream, Replicas
from deployments.generation.row_ends import raise_if_broken
from deployments.shared.errors import NotReady
from deployments.shared.overload_memory import OverloadMemory
from deployments.shared.wire import GenerateCall, Piece


class Watch(Protocol):
    """Counts the pieces that a client gets."""

    def passed(self, pieces: Sequence[Piece]) -> None:
        """Note pieces that go to the client now; called once for every piece."""

    def failed(self, error: Exception) -> None:
        """Note that the stream has ended with this error."""


class Pipeline:
    """Shared by the streams of one ingress: the replicas, and the memory of their refusals."""

    def __init__(self, replicas: Replicas, on_loss: Callable[[], object]) -> None:
        """on_loss: called for each loss, when a call goes from a lost replica to another one."""
        self._replicas = replicas
        self._on_loss = on_loss
        self._overload = OverloadMemory[str](MOST_KINDS)

    def open(self, calls: Sequence[GenerateCall | ComposedCall], deadline: Deadline) -> Stream:
        """The stream of a request made of these calls, one for each prompt, all with equally many rows.

        Nothing is sent before it is read.
        """
        streams = [
            composed_stream(call, self._of_one) if isinstance(call, ComposedCall) else self._of_one(call)
            for call in calls
        ]
        return Stream(streams[0] if len(streams) == 1 else MergedStreams(streams, calls[0].num_rows), deadline)

    def _of_one(self, call: GenerateCall) -> PieceStream:
        return CallStream(self._replicas, self._overload, ContinueElsewhere(call, self._on_loss))


class Stream:
    """The pieces of one request, for its client: lists of them, each row in order. For one reader.

    Raises the project's errors: the first one that any of its calls ends with, and is closed then. Its owner closes it
    in any case.
    """

    def __init__(self, source: PieceStream, deadline: Deadline) -> None:
        self._source = source
        self._deadline = deadline
        self._first: list[Piece] | None = None
        self._watch: Watch | None = None

    async def begin(self) -> None:
        """Wait until every prompt has its first piece, so that refusals become a status; closes itself if it fails.

        Raises any AdaptrixError.
        """
        try:
            first = await anext(self)
        except StopAsyncIteration:
            raise NotReady(NO_ANSWER) from None
        try:
            raise_if_broken(first)
        except AdaptrixError:
            await self.aclose()
            raise
        self._first = first

    def settled(self, rows_per_prompt: int) -> dict[int, SettledChoice]:
        """What replicas have settled of who answers, by the number of the prompt; known once the stream has begun."""
        first = self._first or []
        return {piece.row // rows_per_prompt: piece.settled for piece in first if piece.settled is not None}

    def watched_by(self, watch: Watch) -> None:
        """Let ``watch`` count the pieces that are read from now on."""
        self._watch = watch

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> list[Piece]:
        try:
            if self._first is not None:
                pieces, self._first = self._first, None
            else:
                async with self._deadline.limit():
                    pieces = await anext(self._source)
        except StopAsyncIteration:
            raise
        except BaseException as error:  # a cancelled reader too: no one would read further pieces
            await self.aclose()
            if self._watch is not None and isinstance(error, Exception):
                self._watch.failed(error)
            raise
        if self._watch is not None:
            self._watch.passed(pieces)
        return pieces

    async def aclose(self) -> None:
        """End the stream, for whatever reason: replicas abort this request's unfinished rows (idempotent)."""
        self._first = None
        await self._source.aclose()
