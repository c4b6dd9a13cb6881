"""How long it takes until all is well again: after a client has gone away, and after a process has been killed.

    python -m benchmarks.service.recovery

A system of `serve_config.yaml` is started as `make serve` does. A client that goes away in the middle of a stream of
four rows: until no row runs and no block is held, as `GET /metrics` says. Replicas report to it once a second, so up to
a second of it is the wait for the report. A killed process: until a request that needs it is answered.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.progress import Progress

from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, of_values
from loadtest.system import read_config, serving

LONG, ROWS = 2000, 4
"""Tokens of the answer that nobody waits for, and how many of them are written at once."""
PATIENCE_S = 300.0
STORE, REPLICA = "ray::AdapterStore", "ModelReplica"


@dataclass(frozen=True)
class Row:
    """One kind of trouble."""

    event: str
    until: str
    seconds: Interval


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=5)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    given = parser.parse_args()
    troubles: dict[tuple[str, str], Callable[[httpx.Client], float]] = {
        ("a client goes away", "its rows and blocks are free"): gone_client,
        ("the adapter store is killed", "it answers again"): killed_store,
        ("the only replica is killed", "the next request is answered"): killed_replica,
    }
    rows = []
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=len(troubles) * given.repeats)
        with (
            serving(read_config(given.config, Path(name)), Path(name)) as url,
            httpx.Client(base_url=url, timeout=PATIENCE_S) as http,
        ):
            for (event, until), measure in troubles.items():
                seconds = []
                for _ in range(given.repeats):
                    seconds.append(measure(http))
                    progress.advance(task)
                rows.append(Row(event, until, of_values(seconds)))
    report.table(
        "Until all is well again",
        ("after", "until", "seconds"),
        [(row.event, row.until, row.seconds.text(2)) for row in rows],
    )
    report.finish("recovery", given.json, results=rows)


def gone_client(http: httpx.Client) -> float:
    """Seconds from closing a connection in the middle of a stream until nothing of it is left."""
    body = {"model": "math_reasoning", "prompt": [5] * 40, "max_tokens": LONG, "n": ROWS, "stream": True}
    with http.stream("POST", "/v1/completions", json={**body, "ignore_eos": True}) as response:
        chunks = response.iter_raw()
        next(chunks)
        wait_until(lambda: reported(http, "adaptrix_replica_rows_running") == ROWS)
    return wait_until(lambda: reported(http, "adaptrix_replica_rows_running") == 0)


def killed_store(http: httpx.Client) -> float:
    """Seconds from killing the adapter store until one that took its place says what there is."""
    killed = process(STORE)
    killed.kill()
    return wait_until(
        lambda: http.get("/v1/adapters").status_code == httpx.codes.OK and process(STORE).pid != killed.pid
    )


def killed_replica(http: httpx.Client) -> float:
    """Seconds from killing the only replica until a request sent after that is answered."""
    process(REPLICA).kill()
    began = time.perf_counter()
    http.post("/v1/completions", json={"model": "math_reasoning", "prompt": [5], "max_tokens": 1}).raise_for_status()
    return time.perf_counter() - began


def reported(http: httpx.Client, name: str) -> float:
    """A gauge, summed over replicas."""
    text = http.get("/metrics").raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def process(title: str) -> psutil.Process:
    """The process of the measured system whose title contains ``title``. Raises RuntimeError where it is not there."""

    def find() -> psutil.Process | None:
        for child in psutil.Process().children(recursive=True):
            try:
                if any(title in part for part in child.cmdline()):
                    return child
            except psutil.NoSuchProcess:
                continue
        return None

    deadline = time.monotonic() + PATIENCE_S
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no process {title!r} for {PATIENCE_S:.0f} s")
        time.sleep(0.05)
    return found


def wait_until(condition: Callable[[], bool]) -> float:
    """Seconds until it holds. Raises RuntimeError where it does not in time."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > PATIENCE_S:
            raise RuntimeError(f"not well again after {PATIENCE_S:.0f} s")
        time.sleep(0.02)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
