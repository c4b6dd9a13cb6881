"""The part of a conversation that is routed: the texts of the user's turns, long ones cut.

Knows the shape of chat messages. Does not know adapters or embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adaptrix_core.errors import InvalidRequest

Message = Mapping[str, object]
"""``{"role": ..., "content": ...}``; the content is a string or a list of OpenAI content parts."""

MAX_TURNS = 8
"""Latest user turns that are routed."""

EDGE_CHARS = 480
"""Length, in characters, of the beginning and of the end that are routed of a longer text.

A question stands before or after its subject matter, and the embedding model reads about 1000 characters in all.
"""


def user_turns(messages: Sequence[Message]) -> list[str]:
    """Excerpts of the latest user turns, in order; empty without any user text.

    Raises InvalidRequest (with ``param``) for an empty list, a message without role, or content that is not text.
    """
    if not messages:
        raise InvalidRequest("messages is empty; give at least one message", param="messages")
    turns = [_text(message, index) for index, message in enumerate(messages)]
    users = [turn for turn, message in zip(turns, messages, strict=True) if message["role"] == "user" and turn]
    return users[-MAX_TURNS:]


def _text(message: Message, index: int) -> str:
    where = f"messages[{index}]"
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise InvalidRequest(f"{where} is not an object with a role and a content", param=where)
    content = message.get("content")
    if content is None:  # an assistant's turn that only called tools
        return ""
    if isinstance(content, str):
        return excerpt(content)
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return excerpt("\n".join(_part(part, f"{where}.content[{i}]") for i, part in enumerate(content)))
    raise InvalidRequest(
        f"{where}.content is {type(content).__name__}; only text can be routed", param=f"{where}.content"
    )


def _part(part: object, where: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    text = part.get("text") if isinstance(part, Mapping) else None
    if kind != "text" or not isinstance(text, str):
        raise InvalidRequest(f"{where} is of type {kind!r}; only text can be routed", param=where)
    return text


def excerpt(text: str) -> str:
    """``text`` without outer white space; a long one as its beginning and its end."""
    limit = 2 * EDGE_CHARS
    if len(text) > 4 * limit:  # first, so that a text of megabytes is not copied
        text = f"{text[:limit]}\n{text[-limit:]}"
    text = text.strip()
    return text if len(text) <= limit else f"{text[:EDGE_CHARS]} … {text[-EDGE_CHARS:]}"
