"""The answers of ``/v1/responses``, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from deployments.http.description.answers import Document
from deployments.http.description.generated_answers import Attempt, LikelyToken, TokenScores

ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class ResponseToken(Document):
    """A token that was chosen, and the likeliest ones in its place."""

    token: str
    logprob: float
    bytes: list[int]
    """The token's own bytes; none where it is no part of the text."""
    top_logprobs: list[LikelyToken]


class OutputTextDocument(Document):
    """A part of an answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[ResponseToken]


class OutputMessageDocument(Document):
    """What the answer says. May be sent back as it is."""

    type: Literal["message"]
    id: str
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputTextDocument]


class CallDocument(Document):
    """A call of a function. May be sent back as it is, with its result."""

    type: Literal["function_call"]
    id: str
    call_id: str
    """What the result names."""
    name: str
    arguments: str
    """JSON text, held to the function's schema; incomplete where the answer was cut."""
    status: ItemStatus


class CallOutputDocument(Document):
    """The result of a call."""

    type: Literal["function_call_output"]
    id: str
    call_id: str
    output: str
    status: ItemStatus


class InputTokensDetails(Document):
    """Of the input's tokens."""

    cached_tokens: int
    """Tokens that needed no computing, as their keys and values were in the cache."""
    cache_write_tokens: int
    """Always 0: nothing is charged for what the cache keeps."""


class OutputTokensDetails(Document):
    """Of the output's tokens."""

    reasoning_tokens: int


class InputTextDocument(Document):
    """A part of a message to the model."""

    type: Literal["input_text"]
    text: str


class InputMessageDocument(Document):
    """A message of the conversation."""

    type: Literal["message"]
    id: str
    role: Literal["user", "assistant", "system", "developer"]
    status: ItemStatus
    content: list[InputTextDocument | OutputTextDocument]


class InputItemList(Document):
    """Some of the items that a response answered."""

    object: Literal["list"]
    data: list[InputMessageDocument | CallDocument | CallOutputDocument]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponseDeleted(Document):
    """A response that is no longer stored."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ResponseUsageDocument(Document):
    """Tokens."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseErrorDocument(Document):
    """Why a response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class IncompleteDetails(Document):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class MemoryDocument(Document):
    """What the prompt holds of a conversation that is too long for the context."""

    left_out: list[str]
    """Ids of the questions whose turns it does not hold."""
    recalled: list[str]
    """Of those that it holds, the ones that the prompt before did not."""
    relevance: Literal["embedding", "words"] | None
    """What turns were compared by; null: the latest were kept."""
    question_is_cut: Literal[True] | None = None
    """The question alone was too long, and has lost its beginning."""


class RespondedBy(Document):
    """How sure the answer is, where scores were asked for, why the base model gave it in an adapter's place, and what
    its prompt left out."""

    scores: dict[str, float] | None = None
    confidence: float | None = None
    token_scores: TokenScores | None = None
    attempts: list[Attempt] | None = None
    instead_of_an_answer: Literal["abstain", "ask"] | None = None
    below_min_confidence: bool | None = None
    fallback: str | None = None
    warnings: list[str] | None = None
    memory: MemoryDocument | None = None


class ConversationNamedDocument(Document):
    """The conversation that a response is in."""

    id: str


class ResponseDocument(Document):
    """The answer of ``POST /v1/responses``."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: ResponseStatus
    background: Literal[False]
    conversation: ConversationNamedDocument | None = None
    error: ResponseErrorDocument | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None
    metadata: dict[str, str]
    model: str
    """Who answered: the base model's id, an adapter or a mix."""
    output: list[OutputMessageDocument | CallDocument]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: dict[str, None]
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float | None
    """As it was sent; null: as the adapter or the model asks."""
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsageDocument | None
    user: str | None
    adaptrix: RespondedBy | None = None


class LikelyInEvent(Document):
    """A token that could have been chosen."""

    token: str
    logprob: float


class TokenInEvent(LikelyInEvent):
    """A token that was chosen, and the likeliest ones in its place."""

    top_logprobs: list[LikelyInEvent]


class ResponseEvent(Document):
    """One event of a streamed response; which other members it has depends on its type."""

    type: str
    sequence_number: int
    response: ResponseDocument | None = None
    output_index: int | None = None
    item: OutputMessageDocument | CallDocument | None = None
    item_id: str | None = None
    content_index: int | None = None
    part: OutputTextDocument | None = None
    delta: str | None = None
    text: str | None = None
    arguments: str | None = None
    logprobs: list[TokenInEvent] | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
