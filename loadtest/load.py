"""Open-loop load over real HTTP: every request is sent when it is due, whatever became of earlier ones.

    python -m loadtest.load --url http://127.0.0.1:8000 --models math_reasoning code --requests 100 --rate 1

Prompts are random token ids, so that their lengths are exact and no two share a prefix; `ignore_eos` makes answers as
long as the workload says. A token whose text is not complete yet arrives with the next one. Adapter i of the workload
is the i-th of ``--models``. Knows HTTP; knows no simulator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from rich.progress import Progress

from adaptrix_core.errors import InvalidRequest
from loadtest.records import Record, summarise, write_jsonl
from loadtest.workload import POPULARITIES, Arrival, WorkloadSpec, generate

TOKEN_IDS = (100, 380)
"""Ids that prompts are drawn from; every vocabulary has them."""
TIMEOUT_S = 600.0
"""For a connection, and between two parts of an answer; a whole answer may take longer."""


def open_client(url: str, api_key: str | None = None) -> aiohttp.ClientSession:
    """A client without a limit on connections: none of its requests waits for another one. Call it in an event loop.

    aiohttp, because its requests cost the machine, which the server may share, less than those of httpx do.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S)
    base_url = url.rstrip("/") + "/"
    return aiohttp.ClientSession(base_url, headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


async def run_load(
    client: aiohttp.ClientSession, models: Sequence[str], arrivals: Sequence[Arrival], seed: int = 0
) -> list[Record]:
    """Send ``arrivals`` and return their records, in order. A request that fails is a record with an error."""
    most = max((arrival.adapter for arrival in arrivals), default=0)
    if most >= len(models):
        raise InvalidRequest(
            f"the workload asks for adapter {most}; only {len(models)} models are given", param="models"
        )
    with Progress(transient=True) as progress:
        task = progress.add_task("requests answered", total=len(arrivals))
        started = time.perf_counter()
        running = []
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, started + arrival.at_s - time.perf_counter()))
            body = request_body(arrival, models[arrival.adapter], seed)
            running.append(asyncio.create_task(_send(client, body, arrival, started)))
            running[-1].add_done_callback(lambda _: progress.advance(task))
        return list(await asyncio.gather(*running))


def request_body(arrival: Arrival, model: str, seed: int) -> dict[str, Any]:
    """A completion request of exactly the arrival's lengths; its prompt depends on ``seed`` and its index."""
    random = np.random.default_rng((seed, arrival.index))
    return {
        "model": model,
        "prompt": random.integers(*TOKEN_IDS, arrival.prompt_tokens).tolist(),
        "max_tokens": arrival.output_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def _send(client: aiohttp.ClientSession, body: dict[str, Any], arrival: Arrival, started: float) -> Record:
    record = Record(arrival.index, arrival.adapter, arrival.at_s, arrival.prompt_tokens, 0)
    record.sent_s = time.perf_counter() - started
    try:
        async with client.post("v1/completions", json=body) as response:
            if not response.ok:
                record.error = _error_code(await response.read(), response.status)
                return record
            await _read(response, record, started)
    except (aiohttp.ClientError, TimeoutError) as error:
        record.error = type(error).__name__
    return record


async def _read(response: aiohttp.ClientResponse, record: Record, started: float) -> None:
    """Follow a stream of server-sent events to its end, noting when each one with a token arrived."""
    times: list[float] = []
    ended = False
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        now = time.perf_counter() - started
        if line == b"data: [DONE]\n":
            ended = True
            break
        document = json.loads(line.removeprefix(b"data: "))
        if "error" in document:
            record.error = str(document["error"].get("code") or document["error"].get("type"))
        elif document.get("choices"):
            times.append(now)
        if document.get("usage"):
            record.output_tokens = document["usage"]["completion_tokens"]
    record.chunk_s = tuple(times)
    record.first_token_s, record.end_s = (times[0], times[-1]) if times else (None, None)
    if not ended and record.error is None:
        record.error = "truncated"


def _error_code(content: bytes, status: int) -> str:
    try:
        return str(json.loads(content)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"http_{status}"


def add_workload_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that make a `WorkloadSpec`, save the number of adapters."""
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1.0, help="requests per second")
    parser.add_argument("--popularity", choices=POPULARITIES, default="power")
    parser.add_argument("--alpha", type=float, default=1.0, help="exponent of the power law; 1 is uniform")
    parser.add_argument("--cv", type=float, default=1.0, help="variation of the gaps; 1 is a Poisson process")
    parser.add_argument("--prompt-tokens", type=int, nargs=2, default=(8, 512), metavar=("LOW", "HIGH"))
    parser.add_argument("--output-tokens", type=int, nargs=2, default=(8, 512), metavar=("LOW", "HIGH"))
    parser.add_argument("--seed", type=int, default=42)


def workload_from(given: argparse.Namespace, adapters: int) -> WorkloadSpec:
    """The spec that `add_workload_arguments`' options say."""
    return WorkloadSpec(
        given.requests,
        given.rate,
        adapters,
        given.popularity,
        given.alpha,
        given.cv,
        tuple(given.prompt_tokens),
        tuple(given.output_tokens),
        given.seed,
    )


def main() -> None:
    """Send the load, write the records, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--models", nargs="+", required=True, help="what to ask for, the most popular one first")
    parser.add_argument("--api-key")
    parser.add_argument("--slo", type=float, default=6.0, help="objective for the first token, seconds (S-LoRA's: 6)")
    parser.add_argument("--out", type=Path, help="file for the records, one JSON object per line")
    add_workload_arguments(parser)
    given = parser.parse_args()
    spec = workload_from(given, len(given.models))
    records = asyncio.run(_run(given, spec))
    if given.out is not None:
        write_jsonl(given.out, records)
    print(json.dumps({"experiment": "load", "workload": asdict(spec), **asdict(summarise(records, given.slo))}))


async def _run(given: argparse.Namespace, spec: WorkloadSpec) -> list[Record]:
    async with open_client(given.url, given.api_key) as client:
        return await run_load(client, given.models, generate(spec), spec.seed)


if __name__ == "__main__":
    main()
