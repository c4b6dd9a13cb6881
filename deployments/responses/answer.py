"""A response as it is made from pieces: its document, and its typed events, numbered in order.

A whole answer and a stream are made by the same steps: the one takes the last document, the other all events. Knows
OpenAI's documents. Does not know HTTP, nor where the pieces come from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from adaptrix_core.tools.call_reader import CallBegun, SaidText
from deployments.openai.call_documents import AnswerEvents
from deployments.openai.documents import AnswerHead, Usage
from deployments.openai.logprob_documents import chat_logprobs
from deployments.responses.output import Event, OutputItems
from deployments.responses.request import ResponsesRequest
from deployments.responses.tools import functions_of
from deployments.shared.wire import Piece


class ResponseAnswer:
    """One response."""

    def __init__(self, head: AnswerHead, asked: ResponsesRequest, memory: Mapping[str, Any] | None = None) -> None:
        """memory: what the prompt holds of the conversation, where it does not hold all."""
        self._head = head
        self._memory = {} if memory is None else {"memory": dict(memory)}
        self._asked = asked
        self._said = AnswerEvents()
        self._output = OutputItems(head.response_id)
        self._number = 0
        self._is_stored = asked.store
        self._last: dict[str, Any] = {}
        """The document in the last event, which goes out after the response was kept, or could not be."""
        self._status = "in_progress"
        self._error: dict[str, Any] | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._completed_at: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the answer is whole, cut at its limit, or failed."""
        return self._status != "in_progress"

    def opening(self) -> list[Event]:
        """The first events."""
        return self._numbered(
            [{"type": f"response.{name}", "response": self.document()} for name in ("created", "in_progress")]
        )

    def chunks(self, pieces: Iterable[Piece]) -> list[Event]:
        """The events of these pieces."""
        pieces = list(pieces)
        for piece in pieces:
            self._finish_reason = piece.finish_reason or self._finish_reason
            self._head.look(piece)
        said = self._said.read(pieces)
        # Log-probabilities are those of text; tokens of calls have none to be told with.
        logprobs = [] if self._said.num_calls else _logprobs(self._head.shown(pieces))
        if logprobs and not said:
            return self._numbered(self._output.say("", logprobs))
        events: list[Event] = []
        for event in said:
            if isinstance(event, SaidText):
                events += self._output.say(event.text, logprobs)
            elif isinstance(event, CallBegun):
                events += self._output.call(event.function)
            else:
                events += self._output.add_arguments(event.text)
        return self._numbered(events)

    def ended(self, usage: Usage) -> list[Event]:
        """The last events of an answer that ended by itself or at its limit."""
        self._status = "incomplete" if self._finish_reason == "length" else "completed"
        self._usage = _usage(usage)
        self._completed_at = int(time.time()) if self._status == "completed" else None
        is_cut = self._status == "incomplete" and not (self._said.num_calls and not self._said.is_inside_call)
        events = self._output.end("incomplete" if is_cut else "completed")
        self._last = self.document()
        return self._numbered([*events, {"type": f"response.{self._status}", "response": self._last}])

    def failed(self, status: int, told: Mapping[str, Any]) -> list[Event]:
        """The last events of an answer that broke off: the error with its code, and the response so far."""
        self._status = "failed"
        self._error = {"code": _openai_code(status), "message": told["message"]}
        error = {"type": "error", **{name: told[name] for name in ("code", "message", "param")}}
        self._last = self.document()
        return self._numbered([error, {"type": "response.failed", "response": self._last}])

    def left(self) -> None:
        """Note that the client has gone before the end."""
        self._status = "cancelled"

    def not_stored(self) -> None:
        """Note that the response could not be kept."""
        self._is_stored = self._last["store"] = False

    def document(self) -> dict[str, Any]:
        """The response so far."""
        asked, text, chosen = self._asked, self._asked.text, self._asked.tool_choice
        extra = {} if not self.has_ended else self._head.extra(0, is_finished=True)
        answered = {**extra.get("adaptrix", {}), **self._head.about, **self._memory}
        reason = {"reason": "max_output_tokens"} if self._status == "incomplete" else None
        return {
            "id": self._head.response_id,
            "object": "response",
            "created_at": self._head.created,
            "completed_at": self._completed_at,
            "status": self._status,
            "background": False,
            **({"conversation": {"id": asked.conversation_id}} if asked.conversation_id else {}),
            "error": self._error,
            "incomplete_details": reason,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": None,
            "metadata": asked.metadata or {},
            "model": self._head.model,
            "output": self._output.documents(),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "prompt_cache_key": asked.prompt_cache_key,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": asked.safety_identifier,
            "service_tier": "default",
            "store": self._is_stored,
            "temperature": asked.temperature,
            "text": {
                "format": text.format.document() if text and text.format else {"type": "text"},
                "verbosity": text.verbosity if text and text.verbosity else "medium",
            },
            "tool_choice": chosen.model_dump() if isinstance(chosen, BaseModel) else chosen or "auto",
            "tools": [tool.document() for tool in functions_of(asked.tools)],
            "top_logprobs": asked.top_logprobs,
            "top_p": asked.top_p,
            "truncation": asked.truncation,
            "usage": self._usage,
            "user": asked.user,
            **({"adaptrix": answered} if answered else {}),
        }

    def _numbered(self, events: Sequence[Event]) -> list[Event]:
        numbered = [{**event, "sequence_number": self._number + place} for place, event in enumerate(events)]
        self._number += len(events)
        return numbered


def _logprobs(shown: Sequence[Piece]) -> list[dict[str, Any]]:
    """Log-probabilities of tokens. A token that is no part of the text has no bytes."""
    told = chat_logprobs(shown)
    return [
        {**_with_bytes(token), "top_logprobs": [_with_bytes(likely) for likely in token["top_logprobs"]]}
        for token in (told["content"] if told else ())
    ]


def _with_bytes(token: dict[str, Any]) -> dict[str, Any]:
    return {**token, "bytes": token["bytes"] or []}


def _usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage, in this API's words."""
    counted = usage.document()
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {**counted["prompt_tokens_details"], "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }


def _openai_code(status: int) -> str:
    """The code of a failed response: OpenAI has three that can be meant."""
    if status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if status == 400 else "server_error"
