"""OpenAI's fine-tuning form: a line's ``messages`` and ``tools`` as a conversation, or what is wrong with them.

The last message is learnt. Messages are taken as the server takes them: ``developer`` is ``system``, parts of text are
joined, an assistant that calls functions need not say anything. Raises ValueError and TypeError, which name the place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from adaptrix_core.base.chat_options import ROLE_PATTERN
from adaptrix_core.suggestions import did_you_mean
from adaptrix_core.tools.toolset import Function, Toolset
from adaptrix_core.training.examples.conversation import LearntConversation, Message

FUNCTION_NAME = r"[a-zA-Z0-9_.-]+"
_ENDS = "the last must be one of the assistant, after one of the user or a function's result"


def conversation_of(row: Mapping[str, Any]) -> LearntConversation:
    """The conversation of ``{"messages": …, "tools": …}``; ``tools`` may be left out."""
    messages = _messages(row["messages"])
    toolset = _toolset(row.get("tools"))
    roles = [message["role"] for message in messages]
    if roles[-1] != "assistant" or len(roles) < 2 or roles[-2] not in ("user", "tool"):
        raise ValueError(f"messages have the roles {roles}; {_ENDS}")
    _check_calls(messages, toolset)
    return LearntConversation(tuple(messages[:-1]), messages[-1], toolset)


def _messages(given: object) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given or not all(isinstance(message, dict) for message in given):
        raise TypeError("messages is not a list of objects")
    return [_message(message, f"message {number}") for number, message in enumerate(given, start=1)]


def _message(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    role = given.get("role")
    if not isinstance(role, str) or not re.fullmatch(ROLE_PATTERN, role):
        raise ValueError(f"{place}: role is {_shown(role)}; it is system, user, assistant or tool")
    calls = _calls(given.get("tool_calls"), place)
    if calls and role != "assistant":
        raise ValueError(f"{place}: tool_calls are an assistant's; its role is {role!r}")
    message: dict[str, Any] = {"role": "system" if role == "developer" else role}
    message["content"] = _content(given.get("content"), place, may_be_empty=bool(calls) or role == "tool")
    if calls:
        message["tool_calls"] = calls
    if role == "tool":
        message["tool_call_id"] = _text(given.get("tool_call_id"), f"{place}: tool_call_id")
    return message


def _content(given: object, place: str, *, may_be_empty: bool) -> str:
    """A message's text, its parts joined."""
    if isinstance(given, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in given):
            raise ValueError(f"{place}: content is {_shown(given)}; only parts of text are understood")
        given = "".join(part["text"] for part in given)
    if given is None and may_be_empty:
        return ""
    if not isinstance(given, str) or not (given.strip() or may_be_empty):
        raise ValueError(f"{place}: content is {_shown(given)}; it must be a text that is not empty")
    return given


def _calls(given: object, place: str) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(call, dict) for call in given):
        raise TypeError(f"{place}: tool_calls is not a list of objects")
    return [_call(call, f"{place}, call {number}") for number, call in enumerate(given, start=1)]


def _call(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    function = given.get("function")
    if not isinstance(function, dict):
        raise TypeError(f"{place}: function is {_shown(function)}; it must be an object with name and arguments")
    arguments = function.get("arguments")
    if not isinstance(arguments, str) or not isinstance(_read(arguments), dict):
        raise ValueError(f"{place}: arguments are {_shown(arguments)}; they must be the JSON text of an object")
    name = _text(function.get("name"), f"{place}: name")
    made = {"name": name, "arguments": arguments}
    return {"id": _text(given.get("id"), f"{place}: id"), "type": "function", "function": made}


def _toolset(given: object) -> Toolset | None:
    if given is None or given == []:
        return None
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise TypeError("tools is not a list of objects")
    functions = tuple(_function(tool, f"tool {number}") for number, tool in enumerate(given, start=1))
    names = [function.name for function in functions]
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        raise ValueError(f"tools describe {twice!r} twice; give each function a name of its own")
    return Toolset(functions)


def _function(given: Mapping[str, Any], place: str) -> Function:
    described = given.get("function")
    if given.get("type", "function") != "function" or not isinstance(described, dict):
        raise TypeError(f'{place} is not {{"type": "function", "function": {{"name": …}}}}')
    name = described.get("name")
    if not isinstance(name, str) or not re.fullmatch(FUNCTION_NAME, name):
        raise ValueError(f"{place}: name is {_shown(name)}; it must be letters, digits, '_', '.' and '-'")
    description, parameters = described.get("description") or "", described.get("parameters")
    if not isinstance(description, str):
        raise TypeError(f"{place}: description is {_shown(description)}; it must be a text")
    if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type", "object") != "object"):
        raise TypeError(f"{place}: parameters is {_shown(parameters)}; it must be the JSON schema of an object")
    return Function(name, description, parameters, bool(described.get("strict")))


def _check_calls(messages: list[dict[str, Any]], toolset: Toolset | None) -> None:
    """Every result has its call before it; every called function is among those that are described."""
    names = [] if toolset is None else [function.name for function in toolset.functions]
    made: set[str] = set()
    for number, message in enumerate(messages, start=1):
        if message["role"] == "tool" and message["tool_call_id"] not in made:
            raise ValueError(
                f"message {number} is the result of call {message['tool_call_id']!r}, which no message before it makes"
            )
        for call in _made_by(message):
            if call["function"]["name"] not in names:
                raise ValueError(
                    f"message {number} calls {call['function']['name']!r}, which is not among tools; "
                    + did_you_mean(call["function"]["name"], names, "tools")
                )
            made.add(call["id"])


def _made_by(message: Message) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    return calls


def _text(given: object, what: str) -> str:
    if not isinstance(given, str) or not given:
        raise ValueError(f"{what} is {_shown(given)}; it must be a text that is not empty")
    return given


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(value: object) -> str:
    return repr(value)[:60]
