"""The pieces of one call, whichever replicas compute them: the one loop that reads a replica's stream.

When the stream breaks off, `AskAnother` decides what follows while no replica has begun the call, afterwards
`ContinueElsewhere`. Knows no Ray.
"""

from __future__ import annotations

from deployments.generation.ask_another import AskAnother
from deployments.generation.continue_elsewhere import ContinueElsewhere
from deployments.generation.ports import PieceStream, Replicas
from deployments.shared.errors import ReplicaLost, as_core_error
from deployments.shared.overload_memory import OverloadMemory
from deployments.shared.wire import Piece

NO_ANSWER = "the replica ended the request without an answer; send it again"


class CallStream:
    """The stream of one call, for one reader. Ends once every row has; raises the project's errors."""

    def __init__(self, replicas: Replicas, overload: OverloadMemory[str], elsewhere: ContinueElsewhere) -> None:
        """elsewhere: the policy for losses, which has the call. overload: the memory of this ingress."""
        self._replicas = replicas
        self._overload = overload
        self._elsewhere = elsewhere
        self._asking: AskAnother | None = None
        """The policy for refusals, while replicas are asked and none has begun; else None."""
        self._source: PieceStream | None = None
        """The stream of the replica that computes the call now; None between two replicas."""
        self._is_over = False

    def __aiter__(self) -> CallStream:
        return self

    async def __anext__(self) -> list[Piece]:
        while not self._is_over:
            try:
                pieces = await anext(self._source or self._opened())
            except StopAsyncIteration:
                await self._source_ended(None)
                continue
            except Exception as error:
                await self._source_ended(error)
                continue
            self._asking = None
            shown = self._elsewhere.take(pieces)
            if len(shown) < len(pieces) and self._source is not None:
                await self._source.aclose()  # its engine is ending; the next read finds the end of the stream
            if shown:
                return shown
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the replica's call, which aborts it in the engine (idempotent)."""
        self._is_over = True
        if self._source is not None:
            await self._source.aclose()

    def _opened(self) -> PieceStream:
        if self._asking is None:
            self._asking = AskAnother(self._elsewhere.call(), self._overload)
        self._source = self._replicas.generate(self._asking.call)
        return self._source

    async def _source_ended(self, raised: Exception | None) -> None:
        """Decide what follows: another replica, the end (every row has ended), or an error, which is raised here.

        raised: the source's error; None where it has just ended.
        """
        self._source = None
        if raised is None and self._elsewhere.is_finished:
            self._is_over = True
            return
        error = ReplicaLost(NO_ANSWER) if raised is None else as_core_error(raised)
        if self._asking is not None:
            refused = self._asking.after(error)
            if refused is None:
                return
            self._asking, error = None, refused
        if not await self._elsewhere.goes_on_after(error):
            raise error
        self._is_over = self._elsewhere.is_finished
