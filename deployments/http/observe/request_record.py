"""The record of one request so far, from which its log line and its span are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.callers.principal import Principal
from deployments.generation.start import RunningRequest
from deployments.openai.documents import Usage
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.wire import Piece, RowTimes


@dataclass
class RowSummary:
    """The counts of one row so far."""

    kind: str
    """Label of what answers it, for counting."""
    num_tokens: int = 0
    num_prompt_tokens: int = 0
    finish_reason: str | None = None
    times: RowTimes | None = None

    def add_piece(self, piece: Piece) -> None:
        """Take in the row's next piece."""
        self.num_tokens += (piece.token_id is not None) + piece.other_tokens
        self.num_prompt_tokens = piece.prompt_tokens
        if piece.finish_reason is not None:
            self.finish_reason, self.times = piece.finish_reason, piece.times


@dataclass
class RequestRecord:
    """One request; fields that it never reached stay None or empty. Times in seconds since its arrival."""

    request_id: str
    path: str
    trace_id: str | None = None
    """Id of its trace; None where it is not traced."""
    status: int | None = None
    """HTTP status that was sent; None before."""
    error: str | None = None
    """Code of the error that it ended with."""
    principal: Principal | None = None
    body: ChatRequest | CompletionRequest | None = None
    running: RunningRequest | None = None
    rows: list[RowSummary] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    """What its answer says of its tokens, as far as it has come."""
    first_token_s: float | None = None
    total_s: float = 0.0
