"""What a chat template is given: messages in its own terms, and the functions where it knows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adaptrix_core.tools.call_form import TemplateCalls
from adaptrix_core.tools.stated_prompt import stated
from adaptrix_core.tools.toolset import Toolset


def template_text(chat_template: str | Mapping[str, str] | None) -> str:
    """The template for messages with functions, of a tokenizer that may have several."""
    if isinstance(chat_template, Mapping):
        return chat_template.get("tool_use") or chat_template.get("default") or ""
    return chat_template or ""


def template_input(
    messages: Sequence[Mapping[str, Any]], toolset: Toolset | None, calls: TemplateCalls
) -> dict[str, Any]:
    """Arguments of transformers' ``apply_chat_template``. calls: what the template knows."""
    if not calls.is_native:
        return {"conversation": stated(messages, toolset)}
    return {
        "conversation": [_with_read_arguments(message) for message in messages],
        "tools": toolset.documents() if toolset is not None else None,
    }


def _with_read_arguments(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with the arguments of its calls as objects, which is what templates write out."""
    if "tool_calls" not in message:
        return dict(message)
    calls = [
        {**call, "function": {**call["function"], "arguments": _arguments(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # cut at `max_tokens`, and sent back by its client: the model sees what it wrote
        return text
