"""The body of ``POST /v1/responses``: OpenAI's fields, then those of vLLM and this server that chat has too.

Knows types and ranges, which are those of the chat's fields. What it means is said by `translation.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Interval
from pydantic import AfterValidator, Field, Tag, model_validator

from adaptrix_core.request_limits import MOST, SAMPLING_RANGES
from deployments.openai.body import Body
from deployments.openai.field_types import CacheSalt, Count, LogitBias, Stop, by_kind, no_larger, within
from deployments.openai.formed_body import StructuredOutputs
from deployments.openai.neutral_fields import RESPONSES, STREAM_OPTIONS
from deployments.openai.schemas import AdaptrixOptions
from deployments.responses.items import SAID, ResponsesInput
from deployments.responses.tools import ResponsesToolChoice, ResponsesTools

Include = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]
"""What an answer may hold beside its text. All but the first tell of items that no answer here has."""

ResponseId = Annotated[str, Field(min_length=1, max_length=MOST.item_id_characters)]


def _short(metadata: dict[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if len(key) > MOST.metadata_key_characters or len(value) > MOST.metadata_value_characters:
            raise ValueError(
                f"should have keys of at most {MOST.metadata_key_characters} characters and values of at most "
                f"{MOST.metadata_value_characters}"
            )
    return metadata


Metadata = Annotated[dict[str, str], no_larger(MOST.metadata_pairs), AfterValidator(_short)]


class TextFormat(Body):
    """The form that the answer's text must have."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: Annotated[str, Field(min_length=1, max_length=MOST.schema_name_characters)] | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    description: str | None = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _schema_where_needed(self) -> Self:
        if (self.type == "json_schema") != (self.name is not None and self.schema_ is not None):
            raise ValueError("name and schema go with type 'json_schema', and with no other: send both, or neither")
        return self

    def response_format(self) -> dict[str, Any]:
        """The same in the chat's words."""
        if self.type != "json_schema":
            return {"type": self.type}
        return {"type": self.type, "json_schema": {"name": self.name, "schema": self.schema_, "strict": self.strict}}

    def document(self) -> dict[str, Any]:
        """The format as answers repeat it."""
        if self.type != "json_schema":
            return {"type": self.type}
        told = {"name": self.name, "schema": self.schema_, "description": self.description, "strict": self.strict}
        return {"type": self.type, **told}


class TextOptions(Body):
    """What the text of the answer must look like."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    """Accepted; changes nothing."""


class ResponsesStreamOptions(Body):
    """Options of a stream; none of them changes anything here."""

    neutral = STREAM_OPTIONS


class ConversationReference(Body):
    """A conversation by its id."""

    id: ResponseId


def _text_or_reference(value: object) -> str | None:
    if isinstance(value, str):
        return "str"
    return "[reference]" if isinstance(value, dict | ConversationReference) else None


ConversationNamed = Annotated[
    Annotated[ResponseId, Tag("str")] | Annotated[ConversationReference, Tag("[reference]")],
    by_kind(_text_or_reference, "should be an id, or an object with one"),
]


class ResponsesRequest(Body):
    """``POST /v1/responses``."""

    neutral = RESPONSES
    model: str = Field(min_length=1, max_length=MOST.model_characters)
    input: ResponsesInput
    instructions: str | None = None
    """The system's message, of this turn alone."""
    previous_response_id: ResponseId | None = None
    """A stored response that this one goes on from."""
    conversation: ConversationNamed | None = None
    """A conversation that this one goes on with, and is added to; not together with ``previous_response_id``."""
    store: bool = True
    """Whether the response is kept, so that it can be gone on from and read again."""
    stream: bool = False
    stream_options: ResponsesStreamOptions | None = None
    include: Annotated[list[Include], Field(max_length=MOST.includes, fail_fast=True)] | None = None
    max_output_tokens: Count | None = None
    metadata: Metadata | None = None
    """Kept with the response; at most 16 texts."""
    text: TextOptions | None = None
    tools: ResponsesTools | None = None
    """Functions that the model may call."""
    tool_choice: ResponsesToolChoice | None = None
    """Null: ``auto``."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may hold several calls; null: if the model's own template knows tools."""
    temperature: Annotated[float | None, within("temperature")] = None
    top_p: Annotated[float | None, within("top_p")] = None
    top_logprobs: Annotated[int, within("logprobs")] = 0
    truncation: Literal["auto", "disabled"] = "disabled"
    """``auto``: a prompt that is too long loses its beginning."""
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    # vLLM's, with their meaning in chat
    top_k: Annotated[int | None, Interval(ge=-1, le=SAMPLING_RANGES["top_k"].high)] = None
    min_p: Annotated[float | None, within("min_p")] = None
    seed: Annotated[int | None, within("seed")] = None
    presence_penalty: Annotated[float, within("presence_penalty")] = 0.0
    frequency_penalty: Annotated[float, within("frequency_penalty")] = 0.0
    repetition_penalty: Annotated[float | None, within("repetition_penalty")] = None
    logit_bias: LogitBias | None = None
    stop: Stop | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    structured_outputs: StructuredOutputs | None = None
    chat_template_kwargs: Annotated[dict[str, Any], no_larger(MOST.template_variables)] | None = None
    priority: Annotated[int, within("priority")] = 0
    cache_salt: CacheSalt | None = None
    """What the prompt cache holds is shared between requests of one tenant that send the same text here, or none."""
    adaptrix: AdaptrixOptions | None = None
    """Who answers; no fork, as a response is one answer."""

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if self.adaptrix is not None and self.adaptrix.fork is not None:
            raise ValueError("adaptrix.fork makes several answers, and a response is one; send several requests")
        return self

    @model_validator(mode="after")
    def _one_past(self) -> Self:
        if self.conversation is not None and self.previous_response_id is not None:
            raise ValueError("conversation and previous_response_id both say what came before; send one of them")
        return self

    @property
    def conversation_id(self) -> str | None:
        """The id of the conversation."""
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named

    @property
    def shows_logprobs(self) -> bool:
        """Whether the answer shows log-probabilities."""
        return self.top_logprobs > 0 or "message.output_text.logprobs" in (self.include or ())

    def num_characters(self) -> int:
        """Characters of the input and the instructions."""
        items = [] if isinstance(self.input, str) else self.input
        said = len(self.input) if isinstance(self.input, str) else 0
        return said + len(self.instructions or "") + sum(len(i.text) for i in items if isinstance(i, SAID))
