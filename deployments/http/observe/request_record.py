"""What is known of one request so far: what its log line and its span are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.generation.start import RunningRequest
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.principals import Principal
from deployments.shared.wire import Piece, RowTimes


@dataclass
class RowSummary:
    """What has come of one row so far."""

    kind: str
    """Who answers it, for counting."""
    num_tokens: int = 0
    num_prompt_tokens: int = 0
    finish_reason: str | None = None
    times: RowTimes | None = None

    def add(self, piece: Piece) -> None:
        """Take in the row's next piece."""
        self.num_tokens += piece.token_id is not None
        self.num_prompt_tokens = piece.prompt_tokens
        if piece.finish_reason is not None:
            self.finish_reason, self.times = piece.finish_reason, piece.times


@dataclass
class RequestRecord:
    """One request; what it never got to stays None or empty. Times in seconds since it arrived."""

    request_id: str
    path: str
    trace_id: str | None = None
    """Of its trace, where it is traced."""
    status: int | None = None
    """As it was sent; None while nothing was."""
    error: str | None = None
    """Code of the error that it ended with."""
    principal: Principal | None = None
    body: ChatRequest | CompletionRequest | None = None
    running: RunningRequest | None = None
    rows: list[RowSummary] = field(default_factory=list)
    first_token_s: float | None = None
    total_s: float = 0.0
