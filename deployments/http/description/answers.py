"""The answers of the endpoints, for the OpenAPI document. A test compares real answers with it.

Answers are built elsewhere (`openai/documents.py`, `http/listings.py`, `http/errors.py`), without these models, which
would cost time per token.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """Base of all answers: they contain nothing that is not described."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )


class ErrorBody(Document):
    """An error."""

    message: str
    """What, the value, the limit and the next step."""
    type: str
    code: str
    """Stable, for programs."""
    param: str | None
    """The field at fault, if one is."""


class ErrorDocument(Document):
    """Every error of every endpoint."""

    error: ErrorBody


class PromptTokensDetails(Document):
    """Of the prompts' tokens."""

    cached_tokens: int
    """Tokens that needed no computing, as their keys and values were in the cache; known once a choice has ended."""


class UsageDocument(Document):
    """Tokens; prompts count once each."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class Answered(Document):
    """Who gave a choice, where not one answers all (a fork, or prompts that were routed apart), and how sure the choice
    is, where scores were asked for."""

    adapter: str | None = None
    digest: str | None = None
    """Package digests of its adapters, joined by `+`; empty for the base model."""
    route_score: float | None = None
    """Where the router chose for this prompt alone: the score."""
    scores: dict[str, float] | None = None
    """By confidence estimator; in the last event of a streamed choice. Scores are no probabilities."""


class Fallback(Document):
    """Why the base model answers in place of what was asked for."""

    fallback: str


class LikelyToken(Document):
    """A token that could have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None
    """The token's own bytes; null where it is no part of the text."""


class ChosenToken(LikelyToken):
    """A token that was chosen, and the likeliest ones in its place."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(Document):
    """One entry per token."""

    content: list[ChosenToken]
    refusal: None


class TextLogprobs(Document):
    """Four lists of one entry per token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """Null for the first token of an echoed prompt, as nothing precedes it."""
    top_logprobs: list[dict[str, float] | None]
    """The chosen token and the likeliest ones."""
    text_offset: list[int]
    """Characters before the token in the text."""


FinishReason = Literal["stop", "length"]


class AssistantMessage(Document):
    """May be sent back as it is."""

    role: Literal["assistant"]
    content: str
    refusal: None


class PromptTokenScore(Document):
    """A token that stands in the prompt, or could have stood there."""

    logprob: float
    rank: int
    """1 for the likeliest."""
    decoded_token: str


PromptLogprobs = list[dict[str, PromptTokenScore] | None]
"""By token of the prompt, then by token id; null for the first token, as nothing precedes it."""


class ChatChoice(Document):
    """One answer."""

    index: int
    finish_reason: FinishReason
    stop_reason: str | int | None
    """The stop string, or the token of `stop_token_ids`, that ended it; null where it ended by itself."""
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    token_ids: list[int] | None = None
    adaptrix: Answered | None = None


class ChatCompletion(Document):
    """The answer of ``POST /v1/chat/completions``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    """Who answered: the base model's id, an adapter or a mix."""
    choices: list[ChatChoice]
    usage: UsageDocument
    prompt_logprobs: PromptLogprobs | None = None
    prompt_token_ids: list[int] | None = None
    adaptrix: Fallback | None = None


class Delta(Document):
    """The part of a message that an event adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(Document):
    """The part of a choice that an event adds."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    stop_reason: str | int | None = None
    """In the last event of a choice."""
    logprobs: ChatLogprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    """In the first event of a prompt."""
    adaptrix: Answered | None = None


class ChatCompletionChunk(Document):
    """One event of a streamed chat answer. The last one before ``[DONE]`` holds ``usage``, where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageDocument | None = None
    adaptrix: Fallback | None = None


class TextChoice(Document):
    """One answer, or what an event adds to it: then ``finish_reason`` is null until the last one."""

    index: int
    finish_reason: FinishReason | None
    stop_reason: str | int | None = None
    """The stop string, or the token of `stop_token_ids`, that ended it."""
    text: str
    logprobs: TextLogprobs | None
    prompt_logprobs: PromptLogprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    adaptrix: Answered | None = None


class TextCompletion(Document):
    """The answer of ``POST /v1/completions``, and one event of a streamed one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: UsageDocument | None = None
    """Of a stream, in the last event before ``[DONE]`` where it was asked for."""
    adaptrix: Fallback | None = None


class Embedding(Document):
    """One text's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32."""


class EmbeddingUsage(Document):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Document):
    """The answer of ``POST /v1/embeddings``."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class Route(Document):
    """A routing decision: the answer of ``auto``."""

    object: Literal["adaptrix.route"]
    adapter: str
    mix: dict[str, float]
    scores: dict[str, float]
    score: float
    confidence: float
    reason: str
    previous: str | None


class SampledBy(Document):
    """A sampling default, and its source."""

    value: float
    from_: str = Field(alias="from")
    """Its source: the adapter, the model or the server."""


class ModelCard(Document):
    """A model that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int | None
    """Tokens that a prompt and its answer may have together; null before a replica has said so."""
    permission: list[Any]
    sampling: dict[str, SampledBy] | None
    """By parameter; null where it is not known yet, and for ``auto``, where it is the chosen adapter's."""


class ModelList(Document):
    """The base model, ``auto`` and every adapter."""

    object: Literal["list"]
    data: list[ModelCard]


class RefusedBy(Document):
    """Why an adapter is not served."""

    code: str
    message: str


class AdapterCard(Document):
    """An adapter, and where it is."""

    object: Literal["adaptrix.adapter"]
    name: str
    version: str
    description: str
    digest: str
    """Package digest: of all files but the signature; what is signed and revoked."""
    bundle: str
    """Digest of the package and its signature."""
    weights_digest: str | None
    """Digest of what is computed; null where no replica holds it."""
    signer: str | None
    warnings: list[str]
    shipped: bool
    alias_of: str | None
    """The signed ``name@version``, where it is listed under another name."""
    withheld: RefusedBy | None
    """Why it answers nobody, whatever replicas hold."""
    loaded_at: int
    sampling: dict[str, SampledBy] | None
    """By parameter; null where no replica has verified it yet."""
    residency: dict[str, str]
    """By replica: device, host, disk or absent."""
    refused: dict[str, RefusedBy]
    """By replica."""


class AdapterInFull(AdapterCard):
    """An adapter, where it is, and what it says about itself."""

    size_bytes: int
    num_points: int | None
    metadata: dict[str, Any] | None
    """metadata.json without its points; null for a PEFT directory."""


class AdapterList(Document):
    """Every adapter."""

    object: Literal["list"]
    data: list[AdapterCard]
    replicas: list[str]
    cut: dict[str, int]
    """By replica: the first layer that adapters change; 0 where there is no cut."""
    unloaded: list[str]
    """Shipped adapters that are not served because they were unloaded; a load of the name brings one back."""


class Published(Document):
    """An adapter that every replica has verified."""

    object: Literal["adaptrix.adapter"]
    name: str
    version: str
    digest: str
    """Package digest."""


class Revocations(Document):
    """The list in force."""

    object: Literal["adaptrix.revocations"]
    number: int
    revoked: dict[str, Any]
    revocations: str | None
    """The signed file, base64."""
    signature: str | None


class RevocationsPut(Document):
    """A list that was put in force, and which replicas have it."""

    object: Literal["adaptrix.revocations"]
    number: int
    confirmed: list[str]
    waiting: list[str]


class Version(Document):
    """The version of this server."""

    version: str


class Health(Document):
    """Whether requests can be served."""

    status: Literal["ok", "starting"]
    missing: list[str] | None = None
    """The parts that are not ready yet."""
