"""The ways in which a row ends, and which of them are errors of the whole request."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.errors import AdaptrixError, RequestTimeout
from deployments.shared.wire import Piece


def broke_off(piece: Piece) -> bool:
    """Whether this piece ends its row by an error, an abort or a deadline, not by the model or its limit."""
    return piece.finish_reason in ("error", "abort", "deadline_exceeded")


def raise_if_broken(pieces: Iterable[Piece]) -> None:
    """Raise for a row that ended in an error, was aborted by the engine, or ran out of time."""
    for piece in pieces:
        if piece.finish_reason == "error":
            raise piece.failure or AdaptrixError(piece.error or "the engine failed on this request; see the log")
        if piece.finish_reason == "abort":
            raise AdaptrixError("the request was aborted by the server; send it again", code="aborted")
        if piece.finish_reason == "deadline_exceeded":
            raise RequestTimeout(f"{piece.error}; allow more time, or ask for fewer tokens", code="deadline_exceeded")
