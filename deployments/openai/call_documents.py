"""Calls of functions in an answer: read from its pieces, and OpenAI's documents of them, in streams and whole."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from adaptrix_core.tools.call_form import FORMS
from adaptrix_core.tools.call_reader import ArgumentsSaid, CallBegun, CallEvent, CallReader, SaidText
from deployments.shared.wire import Piece


def new_call_id() -> str:
    """An id for a call, which its result will name."""
    return f"call_{secrets.token_hex(12)}"


class RowCalls:
    """Reads the calls out of one row's text, and writes them as OpenAI does."""

    def __init__(self, form: str) -> None:
        """form: the name of the call form that the row is written in."""
        self._reader = CallReader(FORMS[form])

    def delta(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """The ``delta`` of a stream's chunk that the next part of the text makes; empty where it says nothing yet."""
        events = self._reader.read(text)
        if finish_reason is not None:
            events += self._reader.finish(is_cut=finish_reason == "length")
        said = "".join(event.text for event in events if isinstance(event, SaidText))
        calls = _call_parts(events)
        return {**({"content": said} if said else {}), **({"tool_calls": calls} if calls else {})}

    def message(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """The message of a whole answer with this text."""
        delta = self.delta(text, finish_reason or "stop")
        calls = [{key: part[key] for key in ("id", "type", "function")} for part in delta.get("tool_calls", ())]
        message = {"role": "assistant", "content": delta.get("content", None if calls else ""), "refusal": None}
        return {**message, "tool_calls": calls} if calls else message

    def finish_reason(self, reason: str | None) -> str | None:
        """``tool_calls`` where the row has ended by itself after a call."""
        ended_in_calls = reason == "stop" and self._reader.num_calls and not self._reader.is_inside_call
        return "tool_calls" if ended_in_calls else reason


def _call_parts(events: list[CallEvent]) -> list[dict[str, Any]]:
    """One part for each call that the events tell of: its id and name where it begins here, and more arguments."""
    parts: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, CallBegun):
            function = {"name": event.function, "arguments": ""}
            parts[event.index] = {"index": event.index, "id": new_call_id(), "type": "function", "function": function}
        elif isinstance(event, ArgumentsSaid):
            part = parts.setdefault(event.index, {"index": event.index, "function": {"arguments": ""}})
            part["function"]["arguments"] += event.text
    return list(parts.values())


class AnswerEvents:
    """The text and the calls of one answer, for APIs whose answers are made of items."""

    def __init__(self) -> None:
        self._reader: CallReader | None = None
        """None where the answer may not call functions: then all of it is text."""

    def read(self, pieces: Sequence[Piece]) -> list[CallEvent]:
        """What the next pieces say. What may be the beginning of a call is held back until it is clear."""
        form = next((piece.call_form for piece in pieces if piece.call_form is not None), None)
        if form is not None:
            self._reader = CallReader(FORMS[form])
        text = "".join(piece.text for piece in pieces)
        if self._reader is None:
            return [SaidText(text)] if text else []
        events = self._reader.read(text)
        ends = [piece.finish_reason for piece in pieces if piece.finish_reason]
        return events + (self._reader.finish(is_cut=ends[-1] == "length") if ends else [])

    @property
    def num_calls(self) -> int:
        """Calls that have begun."""
        return self._reader.num_calls if self._reader is not None else 0

    @property
    def is_inside_call(self) -> bool:
        """Whether a call has begun and not ended: it was cut, if nothing follows."""
        return self._reader is not None and self._reader.is_inside_call
