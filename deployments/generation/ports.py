"""The ports of generation to other processes: model replicas, their tokenizer, router, and the streams that come back.

Protocols only, implemented by Ray's handles in the ingress and by plain objects in tests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import Protocol

from deployments.shared.token_calls import CountCall, Counted, DetokenizeCall, TokenizeCall, Tokenized
from deployments.shared.wire import GenerateCall, Piece, RouteAnswer

Batches = AsyncGenerator[list[Piece]]
"""A stream of pieces as an async generator: one list for each engine step, or for a few together."""


class PieceStream(Protocol):
    """A stream of pieces, for one reader; `Batches` is one."""

    def __aiter__(self) -> AsyncIterator[list[Piece]]:
        """Itself."""

    def __anext__(self) -> Awaitable[list[Piece]]:
        """The next pieces, at least one. Raises the error that ended the stream, StopAsyncIteration at its end."""

    def aclose(self) -> Awaitable[None]:
        """End the stream and all the work behind it (idempotent). It has no more pieces afterwards."""


class Replicas(Protocol):
    """The model replicas."""

    def generate(self, call: GenerateCall) -> PieceStream:
        """The pieces of ``call`` from one replica; closing the stream aborts the call. Errors are raised on reading."""


class Tokenizer(Protocol):
    """The base model's tokenizer, which the model replicas have."""

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a prompt. Raises InvalidRequest, Overloaded, NotReady."""

    async def detokenize(self, call: DetokenizeCall) -> str:
        """The text of token ids. Raises InvalidRequest for an id that the vocabulary lacks, Overloaded, NotReady."""

    async def count(self, call: CountCall) -> Counted:
        """The sizes of a conversation's parts. Raises InvalidRequest, Overloaded, NotReady."""


class Router(Protocol):
    """The router."""

    async def route(
        self, messages: Sequence[dict[str, str]], salt: bytes = b"", explained: bool = False
    ) -> RouteAnswer:
        """The adapter that should answer these messages. salt: keeps tenants' cached embeddings apart.

        explained: with what each signal said."""

    async def has_to_be_asked(self) -> bool:
        """Whether every question has to be put to it: it goes by more than the adapters' cards."""
