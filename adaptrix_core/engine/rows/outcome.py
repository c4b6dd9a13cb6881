"""A row's events gathered into a `Completion`."""

from __future__ import annotations

from adaptrix_core.engine.request import Completion, Timings, TokenEvent
from adaptrix_core.engine.rows.row import Row


class Outcome:
    """The events of one row so far."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._events: list[TokenEvent] = []

    @property
    def is_finished(self) -> bool:
        """Whether the final event has come."""
        return bool(self._events) and self._events[-1].finish_reason is not None

    def add_event(self, event: TokenEvent) -> None:
        """Add the row's next event."""
        self._events.append(event)

    def completion(self) -> Completion:
        """The finished row as a record."""
        row, last = self._row, self._events[-1]
        assert last.finish_reason is not None
        tokens = [event for event in self._events if event.token_id is not None]
        params = row.request.params
        with_logprobs = params.logprobs is not None
        mix = row.mix
        return Completion(
            request_id=row.request.request_id,
            text="".join(event.text for event in self._events),
            token_ids=tuple(event.token_id for event in tokens if event.token_id is not None),
            finish_reason=last.finish_reason,
            mix=mix,
            schedule=row.schedule,
            weights_digest=mix[0].adapter if len(mix) == 1 and row.ensemble is None else None,
            num_prompt_tokens=row.num_prompt,
            logprobs=tuple(e.logprob for e in tokens if e.logprob is not None) if with_logprobs else None,
            top_logprobs=tuple(e.top_logprobs for e in tokens) if with_logprobs else None,
            spreads=tuple(e.spread for e in tokens if e.spread is not None) if params.spread else None,
            attentions=tuple(e.attention for e in tokens if e.attention is not None) if params.attention else None,
            timings=last.timings or Timings(),
            prompt_logprobs=self._events[0].prompt_logprobs,
            stop_reason=last.stop_reason,
            error=last.error,
        )
