"""A system in a process of its own: it answers, and its faults are told by name instead of ending the comparison."""

from __future__ import annotations

import os

import pytest

from benchmarks.harness.workers import Absent, System, Worker


def working(token: int) -> System:
    def broken(rows: int) -> list[list[int]]:
        raise ValueError(f"cannot do {rows} rows")

    def dying(rows: int) -> list[list[int]]:
        os._exit(3)

    return System({"good": lambda rows: [[token]] * rows, "broken": broken, "dying": dying}, {"made of": "tests"})


def missing() -> System:
    raise Absent("the package is not installed")


def test_a_worker_says_what_it_holds_and_runs_it() -> None:
    worker = Worker(working, 7)
    seconds, rows = worker.run("good", 2)
    assert (worker.cases, worker.details) == (("good", "broken", "dying"), {"made of": "tests"})
    assert rows == [[7], [7]]
    assert seconds >= 0.0
    worker.close()


def test_a_fault_is_reported_and_the_other_cases_go_on() -> None:
    worker = Worker(working, 7)
    with pytest.raises(Absent, match="ValueError: cannot do 4 rows"):
        worker.run("broken", 4)
    assert worker.run("good", 1)[1] == [[7]]
    worker.close()


def test_a_process_that_dies_is_reported_however_often_it_is_asked() -> None:
    worker = Worker(working, 7)
    for _ in range(2):
        with pytest.raises(Absent, match="ended with code 3"):
            worker.run("dying", 1)
    worker.close()


def test_a_system_that_is_not_there_says_why() -> None:
    with pytest.raises(Absent, match="not installed"):
        Worker(missing)
