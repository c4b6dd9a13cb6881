"""How generation reaches other processes: the model replicas, the router, and the streams that come back.

Protocols only: Ray's handles stand behind them in the ingress, plain objects in tests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import Protocol

from deployments.shared.wire import GenerateCall, Piece, RouteAnswer

Batches = AsyncGenerator[list[Piece]]
"""A stream of pieces that is written as an async generator: one list for each engine step, or for a few together."""


class PieceStream(Protocol):
    """A stream of pieces as its one reader sees it; `Batches` is one."""

    def __aiter__(self) -> AsyncIterator[list[Piece]]:
        """Itself."""

    def __anext__(self) -> Awaitable[list[Piece]]:
        """The next pieces, at least one. Raises the error that ended the stream, StopAsyncIteration at its end."""

    def aclose(self) -> Awaitable[None]:
        """End the stream (idempotent), and with it all the work behind it. From then on it has no more pieces."""


class Replicas(Protocol):
    """The model replicas, as the ingress reaches them."""

    def generate(self, call: GenerateCall) -> PieceStream:
        """What one replica's engine produces for ``call``; closing the stream aborts it. Raises when it is read."""


class Router(Protocol):
    """The router, as the ingress reaches it."""

    async def route(self, messages: Sequence[dict[str, str]], salt: bytes = b"") -> RouteAnswer:
        """Who should answer these messages. ``salt`` keeps what is remembered of a tenant's texts apart."""
