"""Server-sent events: documents become `data:` lines, the first one at once, and an error becomes one last event.

Knows the framing, and that a stream must never end without saying why. Does not know the documents.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.generation.ports import PieceStream
from deployments.generation.row_ends import broke_off, raise_if_broken
from deployments.http.errors import error_document
from deployments.openai.documents import ChunkedAnswer, Usage
from deployments.openai.schemas import StreamOptions
from deployments.shared.errors import as_core_error

logger = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"
SILENT_DONE = b": [DONE]\n\n"
"""The end of a stream in an API that has no such event: a comment, which readers skip. `DONE` ends with it as well, so
that the proxy knows an end from a loss (`proxy/errors.py`)."""
MEDIA_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Headers that keep proxies from buffering events."""


class EventStream(StreamingResponse):
    """A response of events, which closes ``stream``, their source, however it ends, and then calls ``at_end``.

    Closing the generator of events is not enough: if the client leaves before the first one, its code never runs.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        stream: PieceStream,
        headers: Mapping[str, str],
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(events, media_type=MEDIA_TYPE, headers={**headers, **HEADERS})
        self._stream = stream
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            async with aclosing(self._stream):
                await super().__call__(scope, receive, send)
        finally:
            if self._at_end is not None:
                await self._at_end()


async def server_sent_events(
    stream: PieceStream, answer: ChunkedAnswer, rows_per_prompt: int, options: StreamOptions
) -> AsyncGenerator[bytes]:
    """The body of a streamed response, from the pieces of ``stream``.

    An error after the first byte cannot change the status any more, so it is sent as an ``{"error": …}`` event. Closing
    this generator closes ``stream``, which aborts the request in the engine.
    """
    usage = Usage()
    documents = answer.opening()
    try:
        async with aclosing(stream):
            async for pieces in stream:
                usage.count(pieces, rows_per_prompt)
                documents += answer.chunks([piece for piece in pieces if not broke_off(piece)])
                if options.include_usage and options.continuous_usage_stats:
                    documents = [{**document, "usage": usage.document()} for document in documents]
                if documents:
                    yield events(documents)
                documents = []
                raise_if_broken(pieces)
        if options.include_usage:
            yield events([answer.usage(usage)])
    except Exception as error:
        shown = as_core_error(error)
        logger.warning("stream ended by an error: %s", shown.message)
        yield events([error_document(shown)])
    yield DONE


def events(documents: Iterable[dict[str, Any]]) -> bytes:
    """One event for each document."""
    return b"".join(
        b"data: " + json.dumps(d, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n" for d in documents
    )
