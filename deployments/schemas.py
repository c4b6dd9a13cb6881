"""The bodies that the HTTP API accepts, and nothing else: an unknown or unsupported field is refused by name.

Knows types and ranges. Does not know models, adapters or the length of a context.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from deployments.names import RESERVED

Weight = Annotated[float, Field(allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
LogitBias = Annotated[dict[Annotated[int, Field(ge=0, strict=False)], Bias], Field(max_length=1024)]
Stop = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=16)]


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("should be a string of base64")
    return base64.b64decode(value, validate=True)


Base64 = Annotated[bytes, BeforeValidator(_decoded)]

MAX_NAME = 2048
"""Characters of what names a model, an adapter or a mix."""
Name = Annotated[str, Field(max_length=MAX_NAME)]

MAX_CHOICES = 64
MAX_FORKS = 16
MAX_PROMPTS = 64
MAX_MESSAGES = 1024


class Body(BaseModel):
    """Base of all request bodies: strict types, unknown fields refused, null for an optional field is its default."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, document: object) -> object:
        if not isinstance(document, dict):
            return document
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in document.items() if value is not None or name not in optional}


class TextPart(Body):
    """One part of a message's content; only text is supported."""

    type: Literal["text"]
    text: str


class Message(Body):
    """One chat message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """``{"role", "content"}`` as chat templates take it."""
        role = "system" if self.role == "developer" else self.role
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": role, "content": content}


class StreamOptions(Body):
    """What a stream carries beside the text."""

    include_usage: bool = False


class JsonSchema(Body):
    """A named JSON schema, as in OpenAI's structured outputs."""

    name: str = Field(min_length=1, max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Body):
    """The form that the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_where_needed(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema must be there exactly when type is 'json_schema'")
        return self

    def grammar_schema(self) -> dict[str, Any] | None:
        """The JSON schema that the text must satisfy; None for free text."""
        if self.type == "text":
            return None
        return self.json_schema.schema_ if self.json_schema is not None else {"type": "object"}


class AdaptrixOptions(Body):
    """What the ``model`` field cannot say."""

    mix: Annotated[dict[Name, Weight], Field(min_length=1)] | None = None
    """Adapter name to weight."""
    fork: Annotated[list[Name | None], Field(max_length=MAX_FORKS)] | None = None
    """One choice (times n) per entry; null is the base model."""
    fallback: Literal["base", "error"] | None = None
    """What to do when an adapter cannot be used; default: base for ``auto``, error for a named adapter."""


class _Generation(Body):
    """What chat and text completions share. Names and ranges are OpenAI's, then vLLM's."""

    model: str = Field(min_length=1, max_length=MAX_NAME)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=-1)
    min_p: float = Field(0.0, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Stop | None = None
    ignore_eos: bool = False
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    logit_bias: LogitBias | None = None
    response_format: ResponseFormat | None = None
    priority: int = Field(0, ge=-100, le=100)
    """Lower is more urgent; below 0 is for principals with the scope ``admin``."""
    adaptrix: AdaptrixOptions | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    def shared_sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams`` that both endpoints spell alike."""
        return {
            "n": self.n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": max(self.top_k, 0),
            "min_p": self.min_p,
            "stop": tuple(self.stop or ()),
            "ignore_eos": self.ignore_eos,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": dict(self.logit_bias) if self.logit_bias else None,
        }


class ChatRequest(_Generation):
    """``POST /v1/chat/completions``."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are both set; send one of them")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if not any(message.plain()["content"].strip() for message in self.messages):
            raise ValueError("messages hold no text; send at least one message with content")
        return self

    def sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams``, without the seed."""
        return {
            **self.shared_sampling(),
            "max_tokens": self.max_completion_tokens if self.max_tokens is None else self.max_tokens,
            "logprobs": (self.top_logprobs or 0) if self.logprobs else None,
        }


class CompletionRequest(_Generation):
    """``POST /v1/completions``: raw text or token ids, one prompt or several."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    max_tokens: int | None = Field(16, ge=1)
    logprobs: int | None = Field(None, ge=0, le=20)

    @model_validator(mode="after")
    def _prompts_hold_something(self) -> Self:
        prompts = self.prompts()
        if not prompts or any(not prompt for prompt in prompts):
            raise ValueError("prompt is empty; send text or token ids")
        if len(prompts) > MAX_PROMPTS:
            raise ValueError(f"prompt holds {len(prompts)} prompts; allowed: 1 to {MAX_PROMPTS}")
        return self

    def prompts(self) -> list[str | tuple[int, ...]]:
        """Each prompt as text or as token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [tuple(token for token in self.prompt if isinstance(token, int))]
        return [p if isinstance(p, str) else tuple(p) for p in self.prompt if not isinstance(p, int)]

    def sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams``, without the seed."""
        return {**self.shared_sampling(), "max_tokens": self.max_tokens, "logprobs": self.logprobs}


class EmbeddingRequest(Body):
    """``POST /v1/embeddings``."""

    model: str = Field(min_length=1, max_length=MAX_NAME)
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _texts_hold_something(self) -> Self:
        texts = self.texts()
        if not texts or any(not text.strip() for text in texts):
            raise ValueError("input is empty; send text")
        if len(texts) > 2048:
            raise ValueError(f"input holds {len(texts)} texts; allowed: 1 to 2048")
        return self

    def texts(self) -> list[str]:
        """The texts to embed, in order."""
        return [self.input] if isinstance(self.input, str) else list(self.input)


class LoadRequest(Body):
    """``POST /v1/load_lora_adapter``, vLLM's names."""

    lora_name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    lora_path: str = Field(min_length=1, max_length=4096)

    @field_validator("lora_name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name!r} is reserved; choose another name")
        return name


class UnloadRequest(Body):
    """``POST /v1/unload_lora_adapter``: ``name`` (every version of it) or ``name@version``."""

    lora_name: str = Field(min_length=1, max_length=128)


class RevocationRequest(Body):
    """``POST /v1/revocations``: a signed list, both files in base64."""

    revocations: Base64
    signature: Base64


class RouteRequest(Body):
    """``POST /v1/route``."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
