"""A refusal is remembered for its kind, for as long as the rule says, and with the times that are left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from deployments.shared import overload_memory
from deployments.shared.overload_memory import LONGEST_S, QUEUED_SHARE, OverloadMemory, RememberedRefusal, remembered_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(overload_memory, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def refusal(answer: str, alike_s: float = 0.5, retry_after_s: float = 7.0) -> RememberedRefusal[str]:
    return RememberedRefusal(answer, alike_s, retry_after_s)


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s", "expected_s"),
    [(0.3, 0.0, 0.3), (0.01, 8.0, 8.0 * QUEUED_SHARE), (60.0, 0.0, LONGEST_S), (0.01, 600.0, LONGEST_S)],
    ids=["until-a-place-is-free", "a-share-of-a-long-queue", "never-long", "never-long-for-a-queue"],
)
def test_how_long_a_refusal_is_remembered(retry_after_s: float, wait_s: float, expected_s: float) -> None:
    assert remembered_s(retry_after_s, wait_s) == expected_s


def test_only_its_kind_gets_the_answer_and_only_while_the_time_lasts(clock: list[float]) -> None:
    memory = OverloadMemory[str](4)
    assert not memory
    memory.note("a", refusal("full"))
    assert memory.find("b") is None
    assert memory
    clock[0] += 0.4
    known = memory.find("a")
    assert known is not None
    assert (known.answer, known.alike_s, known.retry_after_s) == ("full", pytest.approx(0.1), pytest.approx(6.6))
    clock[0] += 0.1
    assert memory.find("a") is None
    assert not memory


def test_nobody_is_told_to_come_back_while_the_refusal_is_remembered(clock: list[float]) -> None:
    memory = OverloadMemory[str](4)
    memory.note("a", refusal("full", alike_s=0.5, retry_after_s=0.01))
    clock[0] += 0.2
    known = memory.find("a")
    assert known is not None
    assert known.retry_after_s == known.alike_s == pytest.approx(0.3)


def test_a_newer_refusal_takes_the_place_of_an_earlier_one(clock: list[float]) -> None:
    memory = OverloadMemory[str](1)
    memory.note("a", refusal("earlier"))
    clock[0] += 0.3
    memory.note("a", refusal("newer"))
    clock[0] += 0.3
    known = memory.find("a")
    assert known is not None
    assert known.answer == "newer"


def test_further_kinds_wait_until_the_time_of_others_is_over(clock: list[float]) -> None:
    memory = OverloadMemory[str](2)
    memory.note("one", refusal("full"))
    clock[0] += 0.3
    memory.note("two", refusal("full"))
    memory.note("three", refusal("full"))
    assert memory.find("three") is None
    assert memory.find("one") is not None
    clock[0] += 0.3
    memory.note("three", refusal("full"))
    assert memory.find("three") is not None
    assert memory.find("two") is not None
