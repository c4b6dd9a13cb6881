"""The bodies of ``POST /v1/messages`` and of its counting of tokens, and the chat request that says the same.

Fields are Anthropic's, then a few of this server that chat has too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Interval
from pydantic import Field, model_validator

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST, SAMPLING_RANGES
from deployments.anthropic.blocks import Blocks, ResultBlock, TextBlock, TextBlocks, ToolUseBlock, text_of
from deployments.anthropic.tools import CustomTools, ToolUseChoice, chat_tools
from deployments.openai.body import Body
from deployments.openai.field_types import Count, no_larger, within
from deployments.openai.neutral_fields import MESSAGES, OUTPUT_CONFIG, THINKING
from deployments.openai.schemas import AdaptrixOptions, ChatRequest

StopSequences = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MOST.stop_characters)]],
    Field(max_length=MOST.stops, fail_fast=True),
]


class AnthropicMessage(Body):
    """One turn, or a part of one."""

    role: Literal["user", "assistant", "system"]
    content: Blocks

    @model_validator(mode="after")
    def _blocks_have_their_roles(self) -> Self:
        for block in self.content if isinstance(self.content, list) else ():
            if isinstance(block, ToolUseBlock) and self.role != "assistant":
                raise ValueError(f"tool_use is an assistant's; this message's role is {self.role!r}")
            if isinstance(block, ResultBlock) and self.role != "user":
                raise ValueError(f"tool_result is a user's; this message's role is {self.role!r}")
        return self

    def chat_messages(self) -> list[dict[str, Any]]:
        """The same in the chat's words, in which each result of a call is a message of its own."""
        if isinstance(self.content, str):
            return [{"role": self.role, "content": self.content}]
        messages: list[dict[str, Any]] = []
        said = [block for block in self.content if isinstance(block, TextBlock)]
        for block in self.content:
            if isinstance(block, ResultBlock):
                messages.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": block.text})
        calls = [block.call() for block in self.content if isinstance(block, ToolUseBlock)]
        if said or calls or not messages:
            called = {"tool_calls": calls} if calls else {}
            messages.append({"role": self.role, "content": text_of(said), **called})
        return messages


class Thinking(Body):
    """Thinking before an answer, which no model here does apart: it may be left to the model, not asked for."""

    neutral = THINKING
    type: Literal["disabled", "adaptive"]


class JsonFormat(Body):
    """A JSON schema that the answer's text must fit."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    """What the answer must look like."""

    neutral = OUTPUT_CONFIG
    format: JsonFormat | None = None


class TokenCountRequest(Body):
    """``POST /v1/messages/count_tokens``."""

    neutral = MESSAGES
    model: str = Field(min_length=1, max_length=MOST.model_characters)
    messages: Annotated[list[AnthropicMessage], Field(min_length=1, max_length=MOST.messages, fail_fast=True)]
    system: TextBlocks | None = None
    tools: CustomTools | None = None
    """Functions that the model may call."""
    tool_choice: ToolUseChoice | None = None
    """Null: ``auto``."""
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    chat_template_kwargs: Annotated[dict[str, Any], no_larger(MOST.template_variables)] | None = None

    def num_characters(self) -> int:
        """Characters of all messages."""
        return len(text_of(self.system or "")) + sum(len(text_of(message.content)) for message in self.messages)

    def as_chat(self) -> ChatRequest:
        """The chat request that says the same. Raises InvalidRequest."""
        messages = self._chat_messages()
        if not any(message["content"].strip() for message in messages if message["role"] != "tool"):
            raise InvalidRequest("messages hold no text; send at least one message with content", param="messages")
        fields = {"model": self.model, "messages": messages, **self._fields()}
        last = messages[-1]
        if (
            last["role"] == "assistant" and "tool_calls" not in last
        ):  # the answer goes on with what it is said to have begun with
            fields["continue_final_message"] = True
        return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})

    def _chat_messages(self) -> list[dict[str, Any]]:
        system = text_of(self.system or "")
        messages = [one for message in self.messages for one in message.chat_messages()]
        return [*([{"role": "system", "content": system}] if system else []), *messages]

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"chat_template_kwargs": self.chat_template_kwargs, "tools": chat_tools(self.tools)}
        if self.tool_choice is not None:
            fields |= self.tool_choice.fields()
        if self.output_config is not None and (form := self.output_config.format) is not None:
            named = {"name": "answer", "schema": form.schema_}
            fields["response_format"] = {"type": "json_schema", "json_schema": named}
        return fields


class MessagesRequest(TokenCountRequest):
    """``POST /v1/messages``."""

    max_tokens: Count
    stop_sequences: StopSequences | None = None
    stream: bool = False
    temperature: Annotated[float | None, within("temperature")] = None
    top_p: Annotated[float | None, within("top_p")] = None
    top_k: Annotated[int | None, Interval(ge=-1, le=SAMPLING_RANGES["top_k"].high)] = None
    seed: Annotated[int | None, within("seed")] = None
    ignore_eos: bool = False
    priority: Annotated[int, within("priority")] = 0
    adaptrix: AdaptrixOptions | None = None
    """Who answers; no fork, as an answer is one message."""

    def as_chat(self) -> ChatRequest:
        """The chat request that says the same. Raises InvalidRequest."""
        if self.adaptrix is not None and self.adaptrix.fork is not None:
            raise InvalidRequest(
                "adaptrix.fork makes several answers, and a message is one; send several requests", param="adaptrix"
            )
        return super().as_chat()

    def _fields(self) -> dict[str, Any]:
        alike = ("max_tokens", "stream", "temperature", "top_p", "top_k", "seed", "ignore_eos", "priority", "adaptrix")
        return {**super()._fields(), **{name: getattr(self, name) for name in alike}, "stop": self.stop_sequences}
