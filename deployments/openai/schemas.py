"""The bodies that the HTTP API accepts, and nothing else: an unknown or unsupported field is refused by name.

Knows types and ranges. Does not know models, adapters or the length of a context.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator

from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.injection.mix import Term
from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.confidence_body import MinConfidence
from deployments.openai.field_types import (
    Base64,
    CacheSalt,
    Count,
    Input,
    Layer,
    Name,
    Prompt,
    Weight,
    WeightOrWeights,
    by_kind,
    no_larger,
    texts_or_tokens,
    within,
)
from deployments.openai.messages import Messages, num_characters_of
from deployments.openai.neutral_fields import CHAT, COMPLETION, EMBEDDING, STREAM_OPTIONS
from deployments.openai.row_judge import Judging
from deployments.openai.sampled_body import SampledBody
from deployments.openai.tool_body import ToolBody


class StreamOptions(Body):
    """Options of a stream."""

    neutral = STREAM_OPTIONS
    include_usage: bool = False
    """A last event with the usage of the whole request."""
    continuous_usage_stats: bool = False
    """The usage so far in every event; needs ``include_usage``, as in vLLM."""


def _kind_of_mix(value: object) -> str | None:
    kinds: dict[type, str] = {dict: "dict[str, float]", list: "list[term]"}
    return kinds.get(type(value))


class MixTerm(Body):
    """One adapter in a mix."""

    adapter: Name
    weight: WeightOrWeights = 1.0
    """One factor, or one for each layer of the base model."""
    layers: Annotated[list[Layer], Field(min_length=1, max_length=MOST.mix_layers, fail_fast=True)] | None = None
    """Layers that it acts on; left out: all that it has."""

    def term(self) -> Term[str]:
        """The same in the core's words."""
        weight = tuple(self.weight) if isinstance(self.weight, list) else self.weight
        return Term(self.adapter, weight, None if self.layers is None else frozenset(self.layers))


class AdaptrixOptions(Body):
    """Options beyond the ``model`` field."""

    mix: (
        Annotated[
            Annotated[dict[Name, Weight], Field(min_length=1), no_larger(MOST.mix_terms), Tag("dict[str, float]")]
            | Annotated[
                list[MixTerm], Field(min_length=1, max_length=MOST.mix_terms, fail_fast=True), Tag("list[term]")
            ],
            by_kind(_kind_of_mix, "should be weights by name, or a list of terms"),
        ]
        | None
    ) = None
    """Adapter name to weight, or a list of terms, each with an adapter, a weight and layers."""
    fork: Annotated[list[Name | None], Field(max_length=MOST.forks, fail_fast=True)] | None = None
    """One choice (times n) per entry; null is the base model."""
    compose: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    """A composition of adapters, as ``{strategy: parts}``."""
    plan: Literal["auto", "off"] | None = None
    """For ``model: auto``: whether a question that asks for several things in a row is divided into steps, each
    answered by whom the router finds for it; left out, the server's setting says."""
    scores: Annotated[list[Name], Field(max_length=MOST.estimators, fail_fast=True)] | None = None
    """Confidence estimators that score each choice."""
    confidence: bool = False
    """Whether each choice tells its confidence: the calibrated probability that it is right, or null."""
    token_scores: bool = False
    """Whether each choice tells log-probability, entropy and margin of every token."""
    min_confidence: MinConfidence | None = None
    """The least confidence of an answer, and what is done with a less sure one."""
    fallback: Literal["base", "error"] | None = None
    """The response to an adapter that cannot be used; default: base for ``auto``, error for a named adapter."""

    def terms(self) -> tuple[Term[str], ...] | None:
        """The mix by name; None where none is asked for."""
        if self.mix is None:
            return None
        if isinstance(self.mix, dict):
            return tuple(Term(name, weight) for name, weight in self.mix.items())
        return tuple(term.term() for term in self.mix)


class _Generation(SampledBody):
    """Fields of both chat and text completions. Names and ranges are OpenAI's, then vLLM's."""

    model: str = Field(min_length=1, max_length=MOST.model_characters)
    adapter_id: Name | None = None
    """LoRAX's field for what ``model`` says here: an adapter, a version of it, or a mix. Then ``model`` is the base."""
    lora_path: Name | None = None
    """SGLang's field for the same."""
    stream: bool = False
    stream_options: StreamOptions | None = None
    priority: Annotated[int, within("priority")] = 0
    """Lower is more urgent; below 0 is for principals with the scope ``operate``."""
    cache_salt: CacheSalt | None = None
    """What the prompt cache holds is shared between requests of one tenant that send the same text here, or none."""
    adaptrix: AdaptrixOptions | None = None
    return_token_ids: bool = False
    """Whether choices tell the ids of their tokens, and of the prompt's."""
    return_tokens_as_token_ids: bool = False
    """Whether tokens are written as ``token_id:123`` beside log-probabilities."""
    prompt_logprobs: Annotated[int, within("prompt_logprobs")] | None = None
    """The likeliest tokens that are told for each token of the prompt; not with ``stream``."""
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=MOST.whole_number)] | None = None
    """Tokens of the prompt's end that are kept; -1: as many as the context has room for beside ``max_tokens``."""

    @field_validator("truncate_prompt_tokens")
    @classmethod
    def _keeps_something(cls, kept: int | None) -> int | None:
        if kept == 0:
            raise ValueError("should be at least 1, or -1 for what the context has room for")
        return kept

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and self.stream_options.include_usage and not self.stream:
            raise ValueError("stream_options.include_usage needs stream: true")
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("prompt_logprobs cannot be streamed; leave stream out")
        return self

    @property
    def judging(self) -> Judging | None:
        """What is to be told of how sure each choice is; None for nothing."""
        asked = self.adaptrix
        if asked is None or not (asked.scores or asked.confidence or asked.token_scores or asked.min_confidence):
            return None
        confidence = asked.confidence or asked.min_confidence is not None
        return Judging(tuple(asked.scores or ()), confidence, asked.token_scores)

    def needed_logprobs(self, shown: int | None) -> int | None:
        """Log-probabilities that the engine gives for each token: those that are shown, or those that scores need."""
        return 0 if shown is None and self.judging else shown


class ChatRequest(_Generation, ToolBody):
    """``POST /v1/chat/completions``."""

    neutral = CHAT
    messages: Messages
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    add_generation_prompt: bool | None = None
    """Null: true, unless the last message is gone on with."""
    continue_final_message: bool = False
    """Whether the answer goes on with the last message."""
    chat_template_kwargs: Annotated[dict[str, Any], no_larger(MOST.template_variables)] | None = None
    """Further variables of the model's chat template."""
    logprobs: bool = False
    top_logprobs: Annotated[int | None, within("logprobs")] = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are both set; send one of them")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if not any(message.text.strip() for message in self.messages):
            raise ValueError("messages hold no text; send at least one message with content")
        return self

    @property
    def shows_logprobs(self) -> bool:
        """Whether the answer shows log-probabilities."""
        return self.logprobs

    @property
    def echoes(self) -> bool:
        """Whether the text begins with the prompt's; never in a chat."""
        return False

    def chat_options(self) -> ChatOptions:
        """How the messages become a prompt. Raises InvalidRequest for options that contradict each other."""
        begins = not self.continue_final_message if self.add_generation_prompt is None else self.add_generation_prompt
        return ChatOptions(begins, self.continue_final_message, self.chat_template_kwargs or {}, self.toolset())

    def asked(self) -> dict[str, Any]:
        """What not every composition can honour."""
        return {
            "n": self.n,
            "prompt_logprobs": self.prompt_logprobs,
            "tools": self.toolset(),
            "continue_final_message": self.continue_final_message,
        }

    def num_characters(self) -> int:
        """Characters of all messages, and of variables and tools, which a template can write out."""
        told = ChatOptions(chat_template_kwargs=self.chat_template_kwargs or {}, toolset=self.toolset())
        return num_characters_of(self.messages) + told.num_characters

    def sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams``, without the seed."""
        return {
            **self.shared_sampling(),
            "max_tokens": self.max_completion_tokens if self.max_tokens is None else self.max_tokens,
            "prompt_logprobs": self.prompt_logprobs,
            "logprobs": self.needed_logprobs((self.top_logprobs or 0) if self.logprobs else None),
        }


class CompletionRequest(_Generation):
    """``POST /v1/completions``: raw text or token ids, one prompt or several."""

    neutral = COMPLETION
    prompt: Prompt
    max_tokens: Annotated[int, within("max_tokens")] | None = 16
    """0 computes the prompt alone, for its log-probabilities."""
    echo: bool = False
    """Whether the text, and its log-probabilities, begin with the prompt's."""
    logprobs: Annotated[int | None, within("logprobs")] = None

    @property
    def shows_logprobs(self) -> bool:
        """Whether the answer shows log-probabilities."""
        return self.logprobs is not None

    @property
    def echoes(self) -> bool:
        """Whether the text begins with the prompt's."""
        return self.echo

    def chat_options(self) -> ChatOptions:
        """Of no effect: there are no messages."""
        return ORDINARY

    def asked(self) -> dict[str, Any]:
        """What not every composition can honour."""
        return {"n": self.n, "prompt_logprobs": self.prompt_logprobs, "echo": self.echo}

    def num_characters(self) -> int:
        """Characters of all prompts that are text."""
        return sum(len(prompt) for prompt in self.prompts() if isinstance(prompt, str))

    def prompts(self) -> list[str | tuple[int, ...]]:
        """Each prompt as text or as token ids."""
        return texts_or_tokens(self.prompt)

    def sampling(self) -> dict[str, Any]:
        """Keyword arguments of ``SamplingParams``, without the seed."""
        scored = self.logprobs if self.echo and self.prompt_logprobs is None else self.prompt_logprobs
        return {
            **self.shared_sampling(),
            "max_tokens": self.max_tokens,
            "logprobs": self.needed_logprobs(self.logprobs),
            "prompt_logprobs": scored,
        }


class EmbeddingRequest(Body):
    """``POST /v1/embeddings``."""

    model: str = Field(min_length=1, max_length=MOST.model_characters)
    neutral = EMBEDDING
    input: Input
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None

    @model_validator(mode="after")
    def _texts_hold_something(self) -> Self:
        if not all(text.strip() for text in self.inputs() if isinstance(text, str)):
            raise ValueError("input holds an empty text; send text")
        return self

    def num_characters(self) -> int:
        """Characters of all inputs that are text."""
        return sum(len(text) for text in self.inputs() if isinstance(text, str))

    def inputs(self) -> list[str | tuple[int, ...]]:
        """What to embed, in order: each as text or as token ids, all alike."""
        return texts_or_tokens(self.input)


class RevocationRequest(Body):
    """``POST /v1/revocations``: a signed list, both files in base64."""

    revocations: Base64
    signature: Base64


class RoutedMessages(Body):
    """A conversation as the router reads it."""

    messages: Messages

    def num_characters(self) -> int:
        """Characters of all messages."""
        return num_characters_of(self.messages)


class RouteRequest(RoutedMessages):
    """``POST /v1/route``."""

    plan: Literal["auto", "off"] | None = None
    """Whether a question that asks for several things in a row is divided; left out, the server's setting says."""


class FeedbackRequest(RoutedMessages):
    """``POST /v1/feedback``: who should answer these messages."""

    right: Annotated[str, Field(min_length=1, max_length=MOST.model_characters)]
    """An adapter's name, or ``base``."""
    learn: bool = False
    """Whether the text of the last message is kept, too, for the signals that judge every caller's messages; for
    principals with the scope ``operate``."""
