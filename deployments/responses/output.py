"""The output items of a response while they are generated, and the typed events that tell of each change.

Knows OpenAI's documents of items and their events, without the numbers of the latter. Does not know pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployments.openai.call_documents import new_call_id
from deployments.responses.items import output_text

Event = dict[str, Any]


class MessageOutput:
    """A message that is being said."""

    def __init__(self, item_id: str, index: int) -> None:
        self._id = item_id
        self._index = index
        self._text: list[str] = []
        self._logprobs: list[Any] = []

    def begun(self) -> list[Event]:
        """The events of its beginning."""
        item = {**self.document("in_progress"), "content": []}
        part = output_text("")
        return [
            {"type": "response.output_item.added", "output_index": self._index, "item": item},
            {"type": "response.content_part.added", **self._place, "part": part},
        ]

    def say(self, text: str, logprobs: Sequence[Any]) -> list[Event]:
        """The events of more text."""
        self._text.append(text)
        self._logprobs += logprobs
        told = {"delta": text, "logprobs": _without_bytes(logprobs)}
        return [{"type": "response.output_text.delta", **self._place, **told}]

    def ended(self, status: str) -> list[Event]:
        """The events of its end."""
        item = self.document(status)
        part = item["content"][0]
        told = {"text": part["text"], "logprobs": _without_bytes(part["logprobs"])}
        return [
            {"type": "response.output_text.done", **self._place, **told},
            {"type": "response.content_part.done", **self._place, "part": part},
            {"type": "response.output_item.done", "output_index": self._index, "item": item},
        ]

    def document(self, status: str) -> dict[str, Any]:
        """The item so far."""
        content = [output_text("".join(self._text), self._logprobs)]
        return {"id": self._id, "type": "message", "role": "assistant", "status": status, "content": content}

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": self._index, "content_index": 0}


def _without_bytes(logprobs: Sequence[Any]) -> list[Any]:
    """Log-probabilities as events tell them; items tell the bytes of the tokens too."""
    return [
        {
            "token": token["token"],
            "logprob": token["logprob"],
            "top_logprobs": [{"token": one["token"], "logprob": one["logprob"]} for one in token["top_logprobs"]],
        }
        for token in logprobs
    ]


class CallOutput:
    """A call of a function that is being written."""

    def __init__(self, item_id: str, index: int, function: str) -> None:
        self._id = item_id
        self._index = index
        self._function = function
        self._call_id = new_call_id()
        self._arguments: list[str] = []

    def begun(self) -> list[Event]:
        """The events of its beginning."""
        item = self.document("in_progress")
        return [{"type": "response.output_item.added", "output_index": self._index, "item": item}]

    def add(self, arguments: str) -> list[Event]:
        """The events of more arguments."""
        self._arguments.append(arguments)
        return [{"type": "response.function_call_arguments.delta", **self._place, "delta": arguments}]

    def ended(self, status: str) -> list[Event]:
        """The events of its end."""
        item = self.document(status)
        told = {"arguments": item["arguments"]}
        return [
            {"type": "response.function_call_arguments.done", **self._place, **told},
            {"type": "response.output_item.done", "output_index": self._index, "item": item},
        ]

    def document(self, status: str) -> dict[str, Any]:
        """The item so far."""
        called = {"call_id": self._call_id, "name": self._function, "arguments": "".join(self._arguments)}
        return {"id": self._id, "type": "function_call", "status": status, **called}

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": self._index}


class OutputItems:
    """All items of one response, the last of which may still be open."""

    def __init__(self, response_id: str) -> None:
        self._response_id = response_id
        self._done: list[dict[str, Any]] = []
        self._open: MessageOutput | CallOutput | None = None

    def say(self, text: str, logprobs: Sequence[Any]) -> list[Event]:
        """The events of more text of the answer."""
        events: list[Event] = []
        if not isinstance(self._open, MessageOutput):
            events = self._close("completed")
            self._open = MessageOutput(self._next_id("message"), len(self._done))
            events += self._open.begun()
        return events + (self._open.say(text, logprobs) if text or logprobs else [])

    def call(self, function: str) -> list[Event]:
        """The events of a call that begins."""
        events = self._close("completed")
        self._open = CallOutput(self._next_id("function_call"), len(self._done), function)
        return events + self._open.begun()

    def add_arguments(self, text: str) -> list[Event]:
        """The events of more arguments of the call that has begun last."""
        return self._open.add(text) if isinstance(self._open, CallOutput) else []

    def end(self, status: str) -> list[Event]:
        """The events of the end. An answer without anything is an empty message."""
        events = [] if self._done or self._open else self.say("", [])
        return events + self._close(status)

    def documents(self) -> list[dict[str, Any]]:
        """The items so far."""
        return [*self._done, *([self._open.document("incomplete")] if self._open else [])]

    def _close(self, status: str) -> list[Event]:
        if self._open is None:
            return []
        events = self._open.ended(status)
        self._done.append(self._open.document(status))
        self._open = None
        return events

    def _next_id(self, kind: str) -> str:
        return item_id(ID_PREFIX[kind], self._response_id, len(self._done))


ID_PREFIX = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
"""How the ids of items begin, by type."""


def item_id(kind: str, response_id: str, index: int | str) -> str:
    """The id of an item. It holds the response's, so that an item alone leads to the response."""
    return f"{kind}_{response_id.removeprefix('resp_')}_{index}"


def response_of_item(item: str) -> str | None:
    """The id of the response that an item is of; None where it has no such form."""
    parts = item.split("_")
    return f"resp_{parts[1]}" if len(parts) == 3 else None
