"""From a request for a response to the chat request that is generated: OpenAI's two APIs say the same in other words.

Everything that generates a chat answer thus generates a response as well. Knows both bodies; does not know storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.openai.schemas import ChatRequest
from deployments.responses.items import ItemDocument
from deployments.responses.request import ResponsesRequest
from deployments.responses.tools import chat_choice, functions_of

ALIKE = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "stop",
    "include_stop_str_in_output",
    "ignore_eos",
    "skip_special_tokens",
    "structured_outputs",
    "chat_template_kwargs",
    "priority",
    "cache_salt",
    "adaptrix",
)
"""Fields that mean the same in a chat."""


def as_chat(body: ResponsesRequest, conversation: Sequence[ItemDocument]) -> ChatRequest:
    """The chat request that answers ``conversation``, all of its items in order. Raises InvalidRequest."""
    messages = chat_messages(body.instructions, conversation)
    if len(messages) > MOST.messages:
        raise InvalidRequest(
            f"the conversation has {len(messages)} messages, earlier ones included; at most {MOST.messages} are "
            "accepted: begin a new one",
            param="input",
        )
    if not any((message["content"] or "").strip() for message in messages):
        raise InvalidRequest("input holds no text; send at least one message with content", param="input")
    fields: dict[str, Any] = {name: getattr(body, name) for name in ALIKE}
    if body.text is not None and body.text.format is not None:
        fields["response_format"] = body.text.format.response_format()
    if body.shows_logprobs:
        fields |= {"logprobs": True, "top_logprobs": body.top_logprobs}
    if body.tools is not None:
        fields["tools"] = [tool.tool() for tool in functions_of(body.tools)]
    fields |= {"tool_choice": chat_choice(body.tool_choice), "parallel_tool_calls": body.parallel_tool_calls}
    fields |= {"messages": messages, "max_completion_tokens": body.max_output_tokens}
    return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})


def chat_messages(instructions: str | None, items: Iterable[ItemDocument]) -> list[dict[str, Any]]:
    """The messages of a chat that says the same as these items. Raises InvalidRequest for a result without its call.

    What an answer said, and the calls that it made then, are one message of the chat.
    """
    messages: list[dict[str, Any]] = [{"role": "system", "content": instructions}] if instructions else []
    called: set[str] = set()
    for item in items:
        if item["type"] == "message":
            messages.append({"role": item["role"], "content": _text(item)})
        elif item["type"] == "function_call":
            called.add(item["call_id"])
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item))
        else:
            if item["call_id"] not in called:
                raise InvalidRequest(
                    f"input: no call {item['call_id'][:80]!r} comes before its function_call_output; send the "
                    "function_call too, or previous_response_id",
                    param="input",
                )
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
    return messages


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": item["call_id"], "function": {"name": item["name"], "arguments": item["arguments"]}}


def _text(item: Mapping[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])
