"""One simulated replica: the engine's batching, step by step, with the clock handed in.

As in the engine, every decoding row gets a token in each step, and prompts get what the engine's own
`scheduling/prompt_budget.py` leaves them; who came first is first. While no prompt waits, steps are alike, and many are
taken as one event. Rows hold no KV blocks here: the cache is taken to be large enough.
"""

from __future__ import annotations

import heapq
from collections import deque

from adaptrix_core.engine.scheduling.prompt_budget import PromptBudget
from cluster.simulation.engine_model import EngineModel
from cluster.simulation.residency import Residency
from loadtest.records import Record


class _Row:
    __slots__ = ("left", "output_tokens", "record")

    def __init__(self, record: Record, output_tokens: int) -> None:
        self.record = record
        self.output_tokens = output_tokens
        self.left = record.prompt_tokens
        """Prompt tokens that are not computed yet."""


class ReplicaModel:
    """Its methods are told the time, and return when they want to be called again."""

    def __init__(self, engine: EngineModel) -> None:
        self._engine = engine
        self.adapters: Residency[_Row] = Residency(engine.adapter_slots)
        self._load_ends_s = 0.0
        self._waiting: deque[_Row] = deque()
        self._prefilling: deque[_Row] = deque()
        self._decoding: list[tuple[int, int, _Row]] = []
        """A heap of (number of the decode step that brings the last token, record's index, row)."""
        self._ticks = 0
        """Decode steps so far."""
        self._planned: list[tuple[_Row, int]] = []
        self._began_s = 0.0
        self._alike = 0
        """Steps in progress, taken as one event; 0 where the replica is idle."""
        self.version = 0
        """Grows whenever the end of the step in progress is set anew; what was announced before is void."""

    def arrive(self, record: Record, output_tokens: int) -> None:
        """A request comes in; its adapter may have to be loaded first."""
        row = _Row(record, output_tokens)
        record.warm = self.adapters.want(record.adapter, row)
        if record.warm:
            self._waiting.append(row)

    def load_end_s(self, now: float) -> float:
        """When a load that begins now will have ended: after those before it."""
        self._load_ends_s = max(now, self._load_ends_s) + self._engine.load_s
        return self._load_ends_s

    def loaded(self, adapter: int) -> None:
        """An adapter is there; the requests for it may run."""
        self._waiting.extend(self.adapters.loaded(adapter))

    def plan(self, now: float) -> float | None:
        """Begin a step if idle, or shorten the steps in progress where a new row can join; when they end, or None."""
        if self._alike > 1 and self._waiting and self._num_rows < self._engine.max_rows:
            each = self._engine.step.seconds(len(self._decoding), 0)
            passed = int((now - self._began_s) / each) + 1
            if passed >= self._alike:
                return None
            self._alike = passed
            self.version += 1
            return self._began_s + passed * each
        if self._alike:
            return None
        return self._begin(now)

    def step_ended(self, now: float) -> list[Record]:
        """Account for the steps in progress; returns the requests that have ended."""
        self._ticks += self._alike
        self._alike = 0
        ended = []
        while self._decoding and self._decoding[0][0] <= self._ticks:
            ended.append(self._end(heapq.heappop(self._decoding)[2], now))
        for row, count in self._planned:
            row.left -= count
            if row.left == 0:
                row.record.first_token_s = now + self._engine.overhead_s
                if row.output_tokens == 1:
                    ended.append(self._end(row, now))
                else:
                    last = self._ticks + row.output_tokens - 1
                    heapq.heappush(self._decoding, (last, row.record.index, row))
        self._prefilling = deque(row for row in self._prefilling if row.left)
        self._planned = []
        return ended

    @property
    def _num_rows(self) -> int:
        return len(self._prefilling) + len(self._decoding)

    def _begin(self, now: float) -> float | None:
        rows = len(self._decoding)
        self._plan_prompts(rows)
        tokens = sum(count for _, count in self._planned)
        if not rows and not tokens:
            return None
        self._began_s = now
        self._alike = 1 if tokens else self._decoding[0][0] - self._ticks
        self.version += 1
        return now + self._alike * self._engine.step.seconds(rows, tokens)

    def _plan_prompts(self, rows: int) -> None:
        budget = PromptBudget(self._engine.prompts, rows)
        for row in self._prefilling:
            if budget.is_spent:
                return
            self._take(row, budget, budget.room)
        while self._waiting and self._num_rows < self._engine.max_rows:
            if not budget.may_join(self._waiting[0].left):
                return
            row = self._waiting.popleft()
            self._prefilling.append(row)
            budget.join(row.left)
            self._take(row, budget, budget.room_to_join(row.left))

    def _take(self, row: _Row, budget: PromptBudget, room: float) -> None:
        count = min(int(room), row.left)
        self._planned.append((row, count))
        budget.spend(count, count)

    def _end(self, row: _Row, now: float) -> Record:
        row.record.end_s = now + self._engine.overhead_s
        row.record.output_tokens = row.output_tokens
        self._waiting.extend(self.adapters.release(row.record.adapter))
        return row.record
