"""What Ray Serve takes from an engine by streaming alone, whatever application is on it.

    python -m benchmarks.service.serve_floor

The bare engine computes a burst of 32 prompts alone, and beside an application without content (`empty_service.py`)
that streams to 32 clients as many messages as the engine's tokens would be sent in, from the first to the last of them.
No prompt, token or adapter passes through the service. It writes messages as ours does, so the share that is left is
about the most that an application leaves whose streams take this way: HTTP, ingress, deployment handle, replica.
`layer_cost` measures ours, in a burst, too. Serve's HAProxy listens on every interface, while it is measured.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.synchronize
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.progress import Progress

from adaptrix_core.config import load_settings
from adaptrix_core.engine import Engine
from adaptrix_core.engine.build import build_engine
from adaptrix_core.places import project_root
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, Timing, of_rates, of_speedup
from benchmarks.harness.streams import streams
from benchmarks.harness.workload import OUTPUT_TOKENS
from benchmarks.layer_cost import SETTINGS, STREAMS, Fresh, generate_all
from deployments.launch.environment import LOCAL_ENVIRONMENT, SERVE_ENVIRONMENT
from loadtest.ports import free_port
from loadtest.system import launched

SPREAD = 0.85
"""Part of the engine's time alone over which a stream's messages are spread."""

_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Row:
    """One setting of Ray Serve."""

    setting: str
    alone_tokens_per_second: Interval
    """The engine alone, beside the idle service."""
    tokens_per_second: Interval
    share: Interval


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=7)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    parser.add_argument("--messages", type=int, default=5, help="of each stream")
    given = parser.parse_args()
    config = yaml.safe_load(given.config.read_text())
    settings = load_settings(config["applications"][0].get("args") or {}, root=project_root())
    adapters = sorted(file.parent.name for file in Path(settings.adapters.dir).glob("*/metadata.json"))
    engine = build_engine(settings)
    rows = []
    with Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=(given.repeats + 1) * len(SETTINGS))
        for setting in SETTINGS:
            with serving(setting.environment) as url:
                alone, beside = list[Timing](), list[Timing]()
                for cycle in range(given.repeats + 1):
                    first = generate_all(engine, Fresh(2 * cycle, adapters))
                    second = compute_beside(engine, Fresh(2 * cycle + 1, adapters), url, given.messages, first.seconds)
                    if cycle:  # the first one warms up
                        alone.append(first)
                        beside.append(second)
                    progress.advance(task)
            work = STREAMS * OUTPUT_TOKENS
            rows.append(Row(setting.name, of_rates(alone, work), of_rates(beside, work), of_speedup(beside, alone)))
    report.table(
        f"The engine beside {STREAMS} empty streams of {given.messages} messages each",
        ("setting", "alone, tokens/s", "beside, tokens/s", "share"),
        [
            (row.setting, row.alone_tokens_per_second.text(), row.tokens_per_second.text(), row.share.text(2))
            for row in rows
        ],
    )
    report.finish("serve_floor", given.json, messages=given.messages, results=rows)


def compute_beside(engine: Engine, fresh: Fresh, url: str, messages: int, alone_s: float) -> Timing:
    """The same while a process of clients reads empty streams, which are asked for when the engine begins."""
    body = {"prompt": fresh.tokens(0), "count": messages, "gap_s": SPREAD * alone_s / max(1, messages - 1)}
    go = _spawning.Event()
    clients = _spawning.Process(target=read_streams, args=(url, body, go))
    clients.start()
    try:
        while not go.wait(0.1) and clients.is_alive():  # until the clients say that they are there
            continue
        go.clear()
        timing = generate_all(engine, fresh)
    finally:
        go.set()  # now they may end, which takes a moment of a core
        clients.join()
    if clients.exitcode:
        raise RuntimeError("the clients failed; their error is above")
    return timing


def read_streams(url: str, body: Mapping[str, object], go: multiprocessing.synchronize.Event) -> None:
    """What the process of clients does."""
    go.set()
    while go.is_set():
        time.sleep(0.001)
    asyncio.run(streams(url, "/v1/completions", [body] * STREAMS, None, clients=STREAMS))
    go.wait()


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[str]:
    """The URL of the empty service, with these variables beside those that `make serve` sets."""
    own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", **SERVE_ENVIRONMENT, **LOCAL_ENVIRONMENT}
    port = free_port()
    command = [sys.executable, "-c", f"from benchmarks.service import empty_service; empty_service.run({port})"]
    with (
        tempfile.TemporaryDirectory() as name,
        launched(command, port, Path(name) / "serve.log", {**own, **environment}) as url,
    ):
        yield url


if __name__ == "__main__":
    main()
