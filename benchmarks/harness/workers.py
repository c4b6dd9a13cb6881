"""One process per system under comparison, told over a pipe what to run.

Each library has its own OpenMP or TBB pool, number of threads and memory, and one that crashes takes nobody along.
Only one of them runs at a time. Pools spin for a while after their last work (measured after a run: torch and llama.cpp
use 4 to 8 ms of processor time, OpenVINO 0.1 ms, and none of them any after 100 ms), so a run begins after a pause.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

Rows = list[list[int]]
"""The tokens that each row generated."""

PAUSE_S = 0.1
"""Before each run."""

Case = Callable[[int], Rows | None]
"""Generates for that many rows; None where the case computes without generating."""


@dataclass(frozen=True)
class System:
    """What a worker holds: cases by name, ready to run, and what should be known of them."""

    cases: Mapping[str, Case]
    details: Mapping[str, str] = field(default_factory=dict)


class Absent(Exception):
    """A system cannot be measured here; the message says why."""


class Worker:
    """A system in a process of its own."""

    def __init__(self, build: Callable[..., System], *arguments: Any) -> None:
        """build: an importable function that makes the system. Raises Absent where it cannot."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.cases: tuple[str, ...]
        self.details: dict[str, str]
        self.cases, self.details = self._answer()

    def run(self, case: str, rows: int) -> tuple[float, Rows | None]:
        """Seconds that the worker measured, and what it generated. Raises Absent where the system fails."""
        time.sleep(PAUSE_S)
        try:
            self._pipe.send((case, rows))
        except BrokenPipeError as error:
            raise Absent(f"its process ended with code {self._process.exitcode}") from error
        measured: tuple[float, list[list[int]] | None] = self._answer()
        return measured

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            self._process.join()
            raise Absent(f"its process ended with code {self._process.exitcode}") from error
        if isinstance(answer, Absent):
            raise answer
        return answer


def _serve(pipe: Connection, build: Callable[..., System], arguments: tuple[Any, ...]) -> None:
    try:
        system = build(*arguments)
        pipe.send((tuple(system.cases), dict(system.details)))
    except Absent as reason:
        pipe.send(reason)
        return
    except Exception as error:  # any fault of a system is reported by name, and the others go on
        pipe.send(_fault(error))
        return
    with contextlib.suppress(EOFError):  # the other end is closed: nothing more to do
        while True:
            pipe.send(_run(system, *pipe.recv()))


def _run(system: System, case: str, rows: int) -> tuple[float, Rows | None] | Absent:
    began = time.perf_counter()
    try:
        generated = system.cases[case](rows)
    except Exception as error:  # as above
        return _fault(error)
    return time.perf_counter() - began, generated


def _fault(error: Exception) -> Absent:
    return Absent(f"{type(error).__name__}: {error}")
