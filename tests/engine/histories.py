"""What rows were computed under, written down by the test itself, and compared with cold runs of the same tokens.

A row's *passage* is what it generated under one plan: a switch with ``recompute`` begins another one, a switch with
``keep`` extends the plan. The plan is kept here, from what was asked for, and never read from the engine's schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.core import History
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.injection.mix import MixSchedule, constant, switched
from tests.engine.driving import request

TOLERANCE = 1e-5
"""Of the largest logit."""
REPORTED = 20
"""Log-probabilities that every event carries."""


@dataclass
class Passage:
    """Tokens of one row, all generated under one plan."""

    row: Row
    plan: MixSchedule
    events: list[TokenEvent] = field(default_factory=list)


class Histories:
    """Drives an engine and remembers every row's passages."""

    def __init__(self, engine: Engine, salt: bytes = b"") -> None:
        """salt: under one of its own, nothing is taken over from what the engine did before."""
        self.engine = engine
        self._salt = salt
        self.passages: list[Passage] = []
        self._current: dict[tuple[str, int], Passage] = {}

    def add(self, name: str, prompt: Sequence[int], *adapters: str | None, max_tokens: int = 12) -> None:
        """A request with one row under each of ``adapters``."""
        mixes = [self.engine.resolve_mix(adapter) for adapter in adapters]
        asked = request(name, prompt, *mixes, max_tokens=max_tokens, logprobs=REPORTED)
        rows = self.engine.add(replace(asked, salt=self._salt))
        for row, mix in zip(rows, mixes, strict=True):
            self._begin(row, constant(mix))

    def switch(self, name: str, adapter: str | None, history: History) -> None:
        """Switch all of a request's rows that still run; RequestNotFound where none does."""
        mix = self.engine.resolve_mix(adapter)
        running = [p for (owner, _), p in self._current.items() if owner == name and p.row.finish_reason is None]
        plans = [constant(mix) if history == "recompute" else switched(p.plan, next_token(p.row), mix) for p in running]
        self.engine.switch(name, adapter, history)
        for passage, plan in zip(running, plans, strict=True):
            if history == "recompute":
                self._begin(passage.row, plan)
            else:
                passage.plan = plan

    def abort(self, name: str) -> None:
        self.take(self.engine.abort(name))

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.take(self.engine.step())

    def drain(self, before_step: Callable[[], None] = lambda: None, limit: int = 2000) -> None:
        """Step until no work is left."""
        for _ in range(limit):
            if not self.engine.has_work:
                return
            before_step()
            self.step()
        raise AssertionError(f"the engine still has work after {limit} steps")

    def take(self, events: list[TokenEvent]) -> None:
        for event in events:
            self._current[event.request_id, event.index].events.append(event)

    def check(self, cold: Engine) -> int:
        """Compare what every event reports with a cold run of ``cold``; returns how many were compared."""
        return sum(_compare(passage, cold) for passage in self.passages)

    def _begin(self, row: Row, plan: MixSchedule) -> None:
        passage = Passage(row, plan)
        self.passages.append(passage)
        self._current[row.request.request_id, row.index] = passage


def next_token(row: Row) -> int:
    """The first token that no output depends on yet: from it on a switch that keeps history acts."""
    return row.num_prompt + row.num_output - 1 if row.num_output else row.num_computed


def _compare(passage: Passage, cold: Engine) -> int:
    events = [event for event in passage.events if event.token_id is not None]
    if not events:
        return 0
    tokens = tuple(passage.row.tokens[: events[-1].position])
    asked = GenerationRequest("cold", tokens, SamplingParams(max_tokens=0), (passage.plan,))
    [logits] = cold.prompt_logits([asked], None)
    expected, scale = logits.log_softmax(-1), float(logits.abs().max())
    for event in events:
        ours = torch.tensor([value for _, value in event.top_logprobs])
        theirs = expected[event.position - 1][[token for token, _ in event.top_logprobs]]
        # A log-probability is the difference of two numbers that each have the tolerance.
        error = float((ours - theirs).abs().max()) / scale
        assert error < 2 * TOLERANCE, f"{event.request_id}.{event.index} at {event.position}: off by {error:.1e}"
    return len(events)
