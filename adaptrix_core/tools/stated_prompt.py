"""Messages with functions, calls and results as plain messages, for chat templates that know none of these.

The functions are described in the system message; calls are written in the stated form, results in a user's turn. The
words are close to those of the templates of Hermes, Qwen and SmolLM3, which many small models have seen in training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adaptrix_core.tools.call_form import STATED
from adaptrix_core.tools.toolset import Toolset

RESULT = "<tool_response>\n{}\n</tool_response>"
"""How the result of a call is written."""


def stated(messages: Sequence[Mapping[str, Any]], toolset: Toolset | None) -> list[dict[str, Any]]:
    """The messages as ``{"role", "content"}`` alone; those that go together in one turn are joined."""
    plain: list[dict[str, Any]] = []
    after_result = False
    for message in messages:
        is_result = message["role"] == "tool"
        if is_result and after_result:
            plain[-1]["content"] += "\n" + RESULT.format(message["content"])
        elif is_result:
            plain.append({"role": "user", "content": RESULT.format(message["content"])})
        else:
            plain.append({**message, "content": _said(message)})
            plain[-1].pop("tool_calls", None)
        after_result = is_result
    return _with_instructions(plain, toolset) if toolset is not None else plain


def _said(message: Mapping[str, Any]) -> str:
    """A message's text, followed by its calls."""
    calls = [
        STATED.written(call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    ]
    return "\n".join(filter(None, [message["content"], *calls]))


def _with_instructions(messages: list[dict[str, Any]], toolset: Toolset) -> list[dict[str, Any]]:
    told = instructions(toolset)
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{told}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


def instructions(toolset: Toolset) -> str:
    """What the model is told of its functions."""
    functions = "\n".join(json.dumps(document, ensure_ascii=False) for document in toolset.documents())
    call = STATED.written("<function-name>", "<args-json-object>")
    return (
        "You may call functions to help with the user's question. These are their signatures:\n"
        f"<tools>\n{functions}\n</tools>\n\n"
        f"To call a function, answer with its name and arguments as JSON:\n{call}"
    )
