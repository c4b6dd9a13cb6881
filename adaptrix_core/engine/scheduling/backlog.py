"""Estimates a new row's wait for its place: tokens that come before it, over the measured rate. Engine thread only.

All rows of the batch advance at one rate, in tokens per second, measured over the last steps. A waiting row gets the
first place that becomes free once every row before it has one. Answers often end before `max_tokens`, so the tokens
left of a row are estimated from the lengths of answers to similar limits.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from adaptrix_core.engine.rows.row import Row

MEASURED_STEPS = 64
"""Latest steps that the rate is measured over."""
LEAST_STEPS = 8
"""Measured steps below which there is no rate: so few say little."""
FIRST_GUESS = 256
"""Expected length of an answer, in tokens, until one to a similar limit has ended."""
LEARNING_RATE = 0.1
"""Weight of the newest answer in the moving average of lengths."""


class Backlog:
    """Measured step times and answer lengths, and the waits that follow from them."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._places = max_rows
        self._steps: deque[tuple[float, int, float]] = deque(maxlen=MEASURED_STEPS)
        """(seconds, tokens, seconds times rows in the batch) of each step."""
        self._lengths: dict[int, float] = {}
        """Mean length of answers by the number of bits of their ``max_tokens``."""

    def stepped(self, seconds: float, tokens: int, rows: int) -> None:
        """Count a step of ``tokens`` tokens that ``rows`` rows had a place in."""
        self._steps.append((seconds, tokens, seconds * rows))

    def planned(self, running: int, is_memory_short: bool) -> None:
        """Note the number of places: the rows that run, where memory is short, else `max_rows`."""
        self._places = running if is_memory_short and running else self._max_rows

    def ended(self, row: Row) -> None:
        """Learn from an answer that the model ended."""
        bits = row.max_tokens.bit_length()
        known = self._lengths.get(bits)
        self._lengths[bits] = row.num_output if known is None else known + LEARNING_RATE * (row.num_output - known)

    @property
    def row_rate(self) -> float | None:
        """Tokens per second that each row of the batch advances by; None before enough steps were measured.

        The slowest step is left out: the machine may have slept through it.
        """
        if len(self._steps) < LEAST_STEPS:
            return None
        counted = sorted(self._steps)[:-1]
        row_seconds = sum(step[2] for step in counted)
        return sum(step[1] for step in counted) / row_seconds if row_seconds > 0 else None

    def tokens_left(self, row: Row) -> float:
        """Expected tokens that are still to be computed for a row, of its prompt and its answer."""
        answer = min(float(row.max_tokens), self._lengths.get(row.max_tokens.bit_length(), FIRST_GUESS))
        return row.num_uncomputed + max(0.0, answer - row.num_output)

    def wait_s(self, row: Row, running: Sequence[Row], waiting: Iterable[Row]) -> float | None:
        """Expected seconds until ``row``, beginning to wait now, has a place; None before a rate was measured."""
        rate = self.row_rate
        if rate is None:
            return None
        # A less urgent row is preempted, so its place is free at once.
        left = [self.tokens_left(other) if other.priority <= row.priority else 0.0 for other in running]
        if len(running) + sum(other.priority <= row.priority for other in waiting) < self._places:
            return 0.0  # there is a place for every row before it, and for itself
        left += [0.0] * (self._places - len(left))
        return first_free(left, self._before(row, waiting)) / rate

    def _before(self, row: Row, waiting: Iterable[Row]) -> float:
        """Tokens that are computed before ``row``: those of its own flow, and of every other flow at most as many."""
        flows: defaultdict[object, float] = defaultdict(float)
        urgent = 0.0
        for other in waiting:
            if other.priority < row.priority:
                urgent += self.tokens_left(other)
            elif other.priority == row.priority:
                flows[other.flow] += self.tokens_left(other)
        own = flows.pop(row.flow, 0.0)
        fair = own + self.tokens_left(row)
        return urgent + own + sum(min(tokens, fair) for tokens in flows.values())


def first_free(left: Sequence[float], before: float) -> float:
    """Tokens that every place advances by until one is free for a row that ``before`` tokens come before.

    left: tokens that each place is still taken for. The result is the level ``t`` at which
    ``sum(max(0, t - left)) = before`` (water-filling): the tokens before the row are shared out without gaps.
    """
    filled = 0.0
    heights = sorted(left)
    for count, height in enumerate(heights, start=1):
        filled += height
        level = (before + filled) / count
        if count == len(heights) or level <= heights[count]:
            return level
    return 0.0
