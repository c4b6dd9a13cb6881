"""Goodput under overload: real HTTP against a launched server, at 0.5, 1, 2 and 3 times what it can do.

    python -m benchmarks.service.overload --config cluster/serve_configs/one_cpu.yaml --slo 10
    python -m benchmarks.service.overload --url http://127.0.0.1:8000 --rows 32 --slo 10

Capacity is the rate at which the server ends requests of the workload while it is kept busy by a closed loop of twice
as many clients as it computes rows. Goodput is the number of requests, per second of arrivals, whose first token came
within the objective and whose answer was whole. A server whose accepted requests come too late has none, however busy
it is; so `engine.max_wait_s` has to be well below the objective: half of it in a server that is launched here. One
that runs already has a limit of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from loadtest.load import open_client, request_body, run_load
from loadtest.records import Record
from loadtest.system import read_config, serving
from loadtest.workload import WorkloadSpec, generate

FACTORS = (0.5, 1.0, 2.0, 3.0)
REFUSED_PAUSE_S = 0.2
"""A client of the closed loop that is refused comes back after this."""
HOPE = 0.5
"""Share of the objective that a request may be expected to wait."""


def goodput(records: Sequence[Record], slo_s: float) -> float:
    """Whole answers whose first token came within ``slo_s`` of when they were due, per second of arrivals."""
    window_s = max(record.due_s for record in records)
    return sum(r.succeeded and (r.first_token_s or 0.0) - r.due_s <= slo_s for r in records) / window_s


async def capacity(
    client: aiohttp.ClientSession, model: str, spec: WorkloadSpec, clients: int, seconds: float
) -> float:
    """Requests per second that the server ends under a closed loop of ``clients``."""
    arrivals = iter(generate(spec))
    ended: list[float] = []
    began = time.perf_counter()

    async def one() -> None:
        while time.perf_counter() - began < seconds:
            async with client.post("v1/completions", json=request_body(next(arrivals), model, spec.seed)) as response:
                await response.read()
            if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                await asyncio.sleep(REFUSED_PAUSE_S)
                continue
            response.raise_for_status()
            ended.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(clients)))
    # The first quarter fills the batch; what ends after the time is up no longer has a full one beside it.
    counted = [at for at in ended if seconds / 4 <= at <= seconds]
    return len(counted) / (0.75 * seconds)


async def measure(url: str, given: argparse.Namespace, rows: int) -> list[dict[str, Any]]:
    """One row per load."""
    lengths = (tuple(given.prompt_tokens), tuple(given.output_tokens))
    table = []
    async with open_client(url) as client:
        async with client.get("v1/models") as response:
            model = (await response.json())["data"][0]["id"]
        closed = WorkloadSpec(100_000, 1.0, 1, "identical", 1.0, 1.0, *lengths, seed=1)
        rate = await capacity(client, model, closed, 2 * rows, given.seconds)
        print(json.dumps({"capacity_requests_per_s": round(rate, 3)}), flush=True)
        for factor in FACTORS:
            spec = replace(closed, rate=factor * rate, requests=max(2, int(factor * rate * given.seconds)), seed=2)
            records = await run_load(client, [model], generate(spec), seed=int(10 * factor))
            table.append(row_of(records, factor, spec.rate, given.slo))
            print(json.dumps(table[-1]), flush=True)
    return table


def row_of(records: Sequence[Record], factor: float, rate: float, slo_s: float) -> dict[str, Any]:
    """The figures of one load."""
    first = sorted((r.first_token_s or 0.0) - r.due_s for r in records if r.succeeded)
    return {
        "load": factor,
        "offered_per_s": round(rate, 3),
        "requests": len(records),
        "goodput_per_s": round(goodput(records, slo_s), 3),
        "first_token_p50_s": round(first[len(first) // 2], 3) if first else None,
        "first_token_p99_s": round(first[int(0.99 * len(first))], 3) if first else None,
        "errors": dict(Counter(r.error for r in records if r.error is not None)),
    }


@contextmanager
def launched(config: Path, max_wait_s: float) -> Iterator[tuple[str, int]]:
    """The server of a Serve config with this limit, its URL, and how many rows its replicas compute at once."""
    with tempfile.TemporaryDirectory() as name:
        document = read_config(config, Path(name))
        args = document["applications"][0]["args"]
        engine = args.setdefault("engine", {})
        engine["max_wait_s"] = max_wait_s
        rows = engine.get("max_rows", 32) * args.get("replicas", {}).get("num_replicas", 1)
        with serving(document, Path(name)) as url:
            yield url, rows


def main() -> None:
    """Find the capacity, print a line of JSON per load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    parser.add_argument("--slo", type=float, default=10.0, help="objective for the first token, seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each load; many times an answer's")
    parser.add_argument("--prompt-tokens", type=int, nargs=2, default=(16, 64), metavar=("LOW", "HIGH"))
    parser.add_argument("--output-tokens", type=int, nargs=2, default=(16, 64), metavar=("LOW", "HIGH"))
    parser.add_argument("--url", help="a server that runs already, in place of --config")
    parser.add_argument("--rows", type=int, default=32, help="with --url: rows that its replicas compute at once")
    given = parser.parse_args()
    if given.url is not None:
        table = asyncio.run(measure(given.url, given, given.rows))
    else:
        with launched(given.config, HOPE * given.slo) as (url, rows):
            table = asyncio.run(measure(url, given, rows))
    best = max(row["goodput_per_s"] for row in table)
    print(json.dumps({"goodput_at_the_highest_load_over_peak": round(table[-1]["goodput_per_s"] / best, 3)}))


if __name__ == "__main__":
    main()
