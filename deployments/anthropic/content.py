"""The content blocks of an answer while it is generated, and the typed events that tell of each change."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from deployments.openai.call_documents import new_call_id

Event = dict[str, Any]


class TextContent:
    """A block of text that is being said."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def opening(self) -> dict[str, Any]:
        """The block before its first text."""
        return {"type": "text", "text": "", "citations": None}

    def add(self, text: str) -> dict[str, Any]:
        """The delta of more text."""
        self._text.append(text)
        return {"type": "text_delta", "text": text}

    def document(self) -> dict[str, Any]:
        """The block so far."""
        return {**self.opening(), "text": "".join(self._text)}


class CallContent:
    """A call of a function that is being written."""

    def __init__(self, function: str) -> None:
        self._id = f"toolu_{new_call_id().removeprefix('call_')}"
        self._function = function
        self._arguments: list[str] = []

    def opening(self) -> dict[str, Any]:
        """The block before its arguments."""
        return {"type": "tool_use", "id": self._id, "name": self._function, "input": {}}

    def add(self, text: str) -> dict[str, Any]:
        """The delta of more arguments."""
        self._arguments.append(text)
        return {"type": "input_json_delta", "partial_json": text}

    def document(self) -> dict[str, Any]:
        """The block so far; of arguments that were cut, the members that are whole."""
        written = "".join(self._arguments)
        return {**self.opening(), "input": from_json(written, allow_partial=True) if written else {}}


class Content:
    """All blocks of one answer, the last of which may still be open."""

    def __init__(self) -> None:
        self._blocks: list[TextContent | CallContent] = []
        self._is_open = False

    def say(self, text: str) -> list[Event]:
        """The events of more text."""
        events: list[Event] = []
        if not (self._is_open and isinstance(self._blocks[-1], TextContent)):
            events = self._begin(TextContent())
        return [*events, self._delta(text)]

    def call(self, function: str) -> list[Event]:
        """The events of a call that begins."""
        return self._begin(CallContent(function))

    def add_arguments(self, text: str) -> list[Event]:
        """The events of more arguments of the call that has begun last."""
        return [self._delta(text)]

    def end(self) -> list[Event]:
        """The events of the end."""
        events: list[Event] = []
        if self._is_open:
            events.append({"type": "content_block_stop", "index": len(self._blocks) - 1})
        self._is_open = False
        return events

    def documents(self) -> list[dict[str, Any]]:
        """The blocks so far."""
        return [block.document() for block in self._blocks]

    def _begin(self, block: TextContent | CallContent) -> list[Event]:
        events = self.end()
        self._blocks.append(block)
        self._is_open = True
        place = len(self._blocks) - 1
        return [*events, {"type": "content_block_start", "index": place, "content_block": block.opening()}]

    def _delta(self, text: str) -> Event:
        place = len(self._blocks) - 1
        return {"type": "content_block_delta", "index": place, "delta": self._blocks[-1].add(text)}
