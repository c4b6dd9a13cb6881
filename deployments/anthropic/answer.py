"""An answer in Anthropic's documents, as it is made from pieces: the message, and its typed events in order.

A whole answer and a stream are made by the same steps: the one takes the last document, the other all events. Knows
Anthropic's documents. Does not know HTTP, nor where the pieces come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptrix_core.tools.call_reader import CallBegun, SaidText
from deployments.anthropic.content import Content, Event
from deployments.anthropic.errors import error_of
from deployments.openai.call_documents import AnswerEvents
from deployments.openai.documents import AnswerHead, Usage
from deployments.shared.wire import Piece


class MessageAnswer:
    """One answer."""

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._has_begun = False
        self._said = AnswerEvents()
        self._content = Content()
        self._num_prompt = 0
        self._usage: dict[str, int] | None = None
        self._last: Piece | None = None

    def opening(self) -> list[Event]:
        """Nothing: the first event tells the length of the prompt, which comes with the first pieces."""
        return []

    def chunks(self, pieces: Sequence[Piece]) -> list[Event]:
        """The events of these pieces."""
        events: list[Event] = []
        for piece in pieces:
            self._num_prompt = piece.prompt_tokens
            if piece.finish_reason is not None:
                self._last = piece
            self._head.look(piece)
        if not self._has_begun:
            self._has_begun = True
            events += [{"type": "message_start", "message": self.document()}, {"type": "ping"}]
        for event in self._said.read(pieces):
            if isinstance(event, SaidText):
                events += self._content.say(event.text)
            elif isinstance(event, CallBegun):
                events += self._content.call(event.function)
            else:
                events += self._content.add_arguments(event.text)
        return events

    def ended(self, usage: Usage) -> list[Event]:
        """The last events."""
        self._usage = _usage(usage)
        delta = self._end()
        return [
            *self._content.end(),
            {"type": "message_delta", "delta": delta, "usage": self._usage},
            {"type": "message_stop"},
        ]

    def failed(self, status: int, told: Mapping[str, Any]) -> list[Event]:
        """The last event of an answer that broke off."""
        return [error_of(status, told["message"])]

    def document(self) -> dict[str, Any]:
        """The message so far."""
        extra = self._head.extra(0, is_finished=True) if self._last is not None else {}
        answered = {**extra.get("adaptrix", {}), **self._head.about}
        so_far = {"input_tokens": self._num_prompt, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        return {
            "id": self._head.response_id,
            "type": "message",
            "role": "assistant",
            "model": self._head.model,
            "content": self._content.documents(),
            **self._end(),
            "usage": {**(self._usage or {**so_far, "output_tokens": 0}), "service_tier": "standard"},
            **({"adaptrix": answered} if answered else {}),
        }

    def _end(self) -> dict[str, str | None]:
        """Why the answer has ended; null before."""
        last = self._last
        if last is None or self._usage is None:
            return {"stop_reason": None, "stop_sequence": None}
        if last.finish_reason == "length":
            return {"stop_reason": "max_tokens", "stop_sequence": None}
        if isinstance(last.stop_reason, str):
            return {"stop_reason": "stop_sequence", "stop_sequence": last.stop_reason}
        calls = self._said.num_calls > 0 and not self._said.is_inside_call
        return {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}


def _usage(usage: Usage) -> dict[str, int]:
    """Anthropic's usage: the tokens of the prompt that were computed, apart from those that the cache had."""
    counted = usage.document()
    cached = counted["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": counted["prompt_tokens"] - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": counted["completion_tokens"],
    }
