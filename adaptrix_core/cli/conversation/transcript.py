"""A conversation as a file: JSON that is also a body for ``POST /v1/chat/completions``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrix_core.cli.conversation.dialogue import Dialogue
from adaptrix_core.cli.conversation.sampling import NAMES, sampling_value
from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.errors import InvalidRequest

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Transcript:
    """The contents of a saved conversation."""

    model: str
    system: str | None
    sampling: Mapping[str, Any]
    turns: tuple[LoggedTurn, ...]


def save(dialogue: Dialogue, path: Path) -> None:
    """Write the conversation in one step, readable by its owner only.

    Raises InvalidRequest where ``path`` is anything but a saved conversation, and OSError.
    """
    if path.is_dir():
        raise InvalidRequest(f"{path} is a directory; name a file in it, such as {path / 'conversation.json'}")
    if path.exists():
        try:
            read_transcript(path)
        except InvalidRequest as error:
            raise InvalidRequest(f"{path} is there and is no saved conversation; choose another name") from error
    document = {"model": dialogue.template.model, "messages": dialogue.messages(), **dialogue.sampling()}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def read_transcript(path: Path) -> Transcript:
    """Read a saved conversation. Raises InvalidRequest, naming the file's fault, and OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRequest(f"{path} has {path.stat().st_size} bytes; a saved conversation has at most {MAX_BYTES}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is no saved conversation: not JSON ({error})") from error
    if not isinstance(document, dict) or "messages" not in document:
        raise InvalidRequest(f"{path} is no saved conversation: it needs an object with messages")
    unknown = sorted(set(document) - {"model", "messages", *NAMES})
    if unknown:
        raise InvalidRequest(f"{path}: unknown field {unknown[0]!r}; known: model, messages, {', '.join(NAMES)}")
    model = document.get("model", "auto")
    if not isinstance(model, str) or not model:
        raise InvalidRequest(f"{path}: model must be a text that names a model", param="model")
    try:
        sampling = {name: sampling_value(name, document[name]) for name in NAMES if document.get(name) is not None}
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.message}", param=error.param) from error
    system, spoken = _opening(document["messages"], path)
    return Transcript(model, system, sampling, _turns(spoken, model, path))


def _opening(messages: object, path: Path) -> tuple[str | None, list[dict[str, str]]]:
    """The system message, and the messages after it."""
    if not isinstance(messages, list) or not all(_is_message(message) for message in messages):
        raise InvalidRequest(f'{path}: messages must be a list of {{"role": text, "content": text}}', param="messages")
    if messages and messages[0]["role"] == "system":
        return messages[0]["content"], messages[1:]
    return None, messages


def _is_message(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"role", "content"}
        and all(isinstance(v, str) for v in value.values())
    )


def _turns(messages: Sequence[Mapping[str, str]], model: str, path: Path) -> tuple[LoggedTurn, ...]:
    for place, message in enumerate(messages):
        wanted = ("user", "assistant")[place % 2]
        if message["role"] != wanted:
            raise InvalidRequest(
                f"{path}: message {place + 1} after the system message is by {message['role']!r}, expected {wanted!r}; "
                "questions and answers take turns",
                param="messages",
            )
    if len(messages) % 2:
        raise InvalidRequest(f"{path} ends with a question; a conversation ends with an answer", param="messages")
    pairs = zip(messages[::2], messages[1::2], strict=True)
    return tuple(LoggedTurn(question=asked["content"], answer=said["content"], model=model) for asked, said in pairs)
