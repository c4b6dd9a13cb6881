"""Answers whose parts have types: OpenAI's Responses and Anthropic's messages, whole or as a stream of named events.

Knows the order of a stream, and that it must never end without saying why. Does not know the documents.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from fastapi.responses import JSONResponse

from adaptrix_core.errors import AdaptrixError
from deployments.generation.ports import PieceStream
from deployments.generation.row_ends import broke_off, raise_if_broken
from deployments.generation.start import RunningRequest
from deployments.http.errors import code_of, document_for, error_document
from deployments.http.sse import DONE, SILENT_DONE, events
from deployments.openai.documents import Usage
from deployments.shared.errors import as_core_error
from deployments.shared.wire import Piece

logger = logging.getLogger(__name__)


class TypedAnswer(Protocol):
    """An answer whose documents say in ``type`` which event they are."""

    def opening(self) -> list[dict[str, Any]]:
        """The first documents."""

    def chunks(self, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        """The documents of these pieces."""

    def ended(self, usage: Usage) -> list[dict[str, Any]]:
        """The last documents of an answer that ended by itself or at its limit."""

    def failed(self, status: int, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The last documents of an answer that broke off: with what HTTP status, and message, code and param."""

    def document(self) -> dict[str, Any]:
        """The whole answer, once it has ended."""


async def typed_events(
    stream: PieceStream, answer: TypedAnswer, done: bytes, before_end: Callable[[], Awaitable[None]] | None = None
) -> AsyncGenerator[bytes]:
    """The body of a streamed answer of one row, each event under its type, then ``done``.

    before_end: awaited when the answer has ended, before the client learns it. Closing this generator closes
    ``stream``, which aborts the request in the engine.
    """
    usage = Usage()
    documents = answer.opening()
    try:
        async with aclosing(stream):
            async for pieces in stream:
                usage.count(pieces, 1)
                if told := [piece for piece in pieces if not (broke_off(piece) or piece.is_inner)]:
                    documents += answer.chunks(told)
                if documents:
                    yield named_events(documents)
                documents = []
                raise_if_broken(pieces)
        documents += answer.ended(usage)
    except Exception as error:
        shown = as_core_error(error)
        logger.warning("stream ended by an error: %s", shown.message)
        documents = answer.failed(code_of(shown).status, error_document(shown)["error"])
    if before_end is not None:
        await before_end()
    yield named_events(documents) + done


def broken_off(path: str, error: AdaptrixError) -> bytes:
    """The last bytes of a stream that was cut off, in the form of the API that ``path`` belongs to."""
    document = document_for(path, error)
    return named_events([document]) + SILENT_DONE if "type" in document else events([document]) + DONE


def named_events(documents: Iterable[dict[str, Any]]) -> bytes:
    """One event for each document, named by its type."""
    return b"".join(f"event: {document['type']}\n".encode() + events([document]) for document in documents)


async def whole_answer(running: RunningRequest, answer: TypedAnswer) -> dict[str, Any]:
    """The document of an answer of one row that isn't streamed. Raises any AdaptrixError."""
    usage = Usage()
    async with aclosing(running.stream) as stream:
        async for pieces in stream:
            raise_if_broken(pieces)
            answer.chunks([piece for piece in pieces if not piece.is_inner])
            usage.count(pieces, 1)
    answer.ended(usage)
    return answer.document()


def whole_response(running: RunningRequest, document: Mapping[str, Any]) -> JSONResponse:
    """A whole answer of one row, with the headers that tell of it."""
    return JSONResponse(document, headers=running.headers([document.get("adaptrix", {})]))
