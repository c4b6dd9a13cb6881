"""The order of waiting rows: places that rows keep, streams that have begun, and which row of each flow is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adaptrix_core.engine.scheduling.waiting import WaitingRows


@dataclass(eq=False)
class FakeRow:
    name: str
    flow: tuple[bytes, frozenset[str]] = (b"", frozenset())
    priority: int = 0
    num_output: int = 0
    number: int = 0
    is_ready: bool = True


def queue_of(*rows: Any) -> WaitingRows:
    waiting = WaitingRows()
    for row in rows:
        waiting.add(row)
    return waiting


def names(rows: Any) -> str:
    return "".join(row.name for row in rows)


def test_a_row_that_waits_again_takes_its_old_place() -> None:
    a, b, c = rows = [FakeRow(name) for name in "abc"]
    waiting: Any = queue_of(*rows)
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))
    assert 0 not in numbers
    for row in (b, a):
        waiting.remove(row)
    for row in (b, a):
        waiting.add(row)
    assert names(waiting) == "abc"
    assert [row.number for row in rows] == numbers
    waiting.remove(c)
    c.num_output = 1
    waiting.add(c)
    assert names(waiting) == "cab", "a stream that has begun comes first"


def test_the_next_of_each_flow_is_its_first_row_that_is_ready() -> None:
    one, two = (b"one", frozenset()), (b"two", frozenset())
    rows = [FakeRow("a", one, is_ready=False), FakeRow("b", one), FakeRow("c", one), FakeRow("d", two, is_ready=False)]
    waiting = queue_of(*rows, FakeRow("e", one, priority=1))
    assert names(waiting.heads()) == "be"
    assert len(waiting) == 5


def test_the_most_urgent_class_that_waits_is_known() -> None:
    rows: list[Any] = [FakeRow("a", priority=3), FakeRow("b", priority=-1)]
    waiting = queue_of(*rows)
    assert waiting.top_priority == -1
    waiting.remove(rows[1])
    assert waiting.top_priority == 3
    waiting.remove(rows[0])
    assert waiting.top_priority is None
    assert len(waiting) == 0
    assert rows[0] not in waiting


def test_class_then_begun_streams_then_tokens_served_then_arrival_decide() -> None:
    one, two = (b"one", frozenset({"x"})), (b"two", frozenset({"x"}))
    rows: list[Any] = [
        FakeRow("a", one),
        FakeRow("b", two),
        FakeRow("c", two),
        FakeRow("d", one, num_output=1),
        FakeRow("e", one, -1),
    ]
    waiting = queue_of(*rows)
    waiting.charge(rows[0], 5)
    assert names(sorted(rows, key=waiting.rank)) == "edbca"
    waiting.charge(rows[1], 6)
    assert names(sorted(rows, key=waiting.rank)) == "edabc"


def test_a_flow_that_leaves_the_queue_saves_up_no_claim() -> None:
    one, two = (b"one", frozenset()), (b"two", frozenset())
    rows: list[Any] = [FakeRow("a", one), FakeRow("b", two)]
    waiting = queue_of(*rows)
    waiting.remove(rows[0])
    waiting.charge(rows[1], 100)
    waiting.add(rows[0])
    assert waiting.rank(rows[0])[2][0] == waiting.rank(rows[1])[2][0] == 100
