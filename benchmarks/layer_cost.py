"""What the HTTP service costs over the bare engine: throughput, first token, each token, and `auto`.

    python -m benchmarks.layer_cost

Systems of `serve_config.yaml` are started as `make serve` does, one after the other for each setting of Ray Serve, and
asked in turns with an engine in this process that is made from the same settings. Distinct random prompts of 42 tokens,
48 greedy tokens, all shipped adapters. First 32 clients ask at once, each a single time: a burst. Then their streams
are kept up: each client asks again as soon as it is answered, and the engine gets the same requests all at once and
computes 32 rows at a time. Then single requests. Serve's HAProxy listens on every interface, so that system asks for an
API key made for the run.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.progress import Progress

from adaptrix_core.config import load_settings
from adaptrix_core.engine import Engine
from adaptrix_core.engine.build import build_engine
from adaptrix_core.places import project_root
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, Timing, of_rates, of_speedup, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.streams import StreamTimes, stream, streams
from benchmarks.harness.workload import GREEDY, OUTPUT_TOKENS, PROMPT_TOKENS, random_tokens
from deployments.callers.key_file import hash_key
from loadtest.system import serving

STREAMS, ROUNDS, LONE, ROUTED = 32, 4, 6, 8
"""Streams at once, requests of each where they are kept up, and single requests per repeat: to a named adapter, and
routed ones."""
KEY = "benchmark"


@dataclass(frozen=True, eq=False)
class Setting:
    """A way to run Ray Serve, and what it may cost at most."""

    name: str
    environment: Mapping[str, str]
    least_share: float
    """Of the bare engine's throughput."""
    most_first_ms: float
    """First token beyond the engine's."""


SETTINGS = (
    Setting("make serve", {}, 0.80, 25.0),
    Setting(
        "HAProxy and throughput flags",
        {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
        0.93,
        10.0,
    ),
)
MOST_AUTO_MS = 10.0


@dataclass
class Readings:
    """Everything that was measured of one system; seconds."""

    bursts: list[Timing] = field(default_factory=list)
    """STREAMS requests at once."""
    loads: list[Timing] = field(default_factory=list)
    """STREAMS streams, kept up for ROUNDS requests each."""
    events: list[float] = field(default_factory=list)
    """Of each of these requests, on average: messages from its replica to its client."""
    firsts: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    routed_new: list[float] = field(default_factory=list)
    """First token of `auto` beyond that of the adapter it chose, for prompts never seen before."""
    routed_known: list[float] = field(default_factory=list)
    """The same for prompts that were routed before."""


@dataclass(frozen=True)
class Row:
    """One setting beside the engine."""

    setting: str
    engine_tokens_per_second: Interval
    """The engine alone, beside the idle system."""
    tokens_per_second: Interval
    share: Interval
    burst_share: Interval
    events_per_stream: Interval
    first_token_ms: Interval
    """Beyond the engine's."""
    per_token_ms: Interval
    """Beyond the engine's, of a single stream."""
    auto_new_ms: Interval
    auto_known_ms: Interval


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=7)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    parser.add_argument("--settings", nargs="+", choices=[s.name for s in SETTINGS], default=[s.name for s in SETTINGS])
    given = parser.parse_args()
    config = yaml.safe_load(given.config.read_text())
    settings = load_settings(config["applications"][0].get("args") or {}, root=project_root())
    wanted = [setting for setting in SETTINGS if setting.name in given.settings]
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        directory = Path(name)
        task = progress.add_task("measuring", total=(given.repeats + 1) * len(wanted))
        engine = build_engine(settings)
        adapters = sorted(file.parent.name for file in Path(settings.adapters.dir).glob("*/metadata.json"))
        pairs = {setting: (Readings(), Readings()) for setting in wanted}
        for number, (setting, readings) in enumerate(pairs.items()):
            with served(config, directory / str(number), setting) as url:
                for cycle in range(given.repeats + 1):
                    fresh = Fresh(cycle, adapters)
                    # The first cycle warms up.
                    into = readings if cycle else (Readings(), Readings())
                    ask_both(engine, url, fresh, into)
                    progress.advance(task)
    rows = [row_of(setting, over_http, alone) for setting, (alone, over_http) in pairs.items()]
    checks = [check for setting, row in zip(wanted, rows, strict=True) for check in checks_of(setting, row)]
    show(rows)
    report.show_checks(checks)
    report.finish("layer_cost", given.json, streams=STREAMS, results=rows, checks=report.checks_json(checks))


class Fresh:
    """The prompts of one cycle, in which nothing repeats what an earlier cycle's hold."""

    def __init__(self, cycle: int, adapters: Sequence[str]) -> None:
        self._random = random.Random(cycle)
        self.adapters = adapters
        self.cycle = cycle

    def tokens(self, number: int) -> list[int]:
        """A prompt of random tokens."""
        return random_tokens(PROMPT_TOKENS, 1000 * self.cycle + number, 40_000)

    def question(self, number: int) -> str:
        """A question that the router knows somebody for."""
        first, second = self.cycle * ROUTED + number + 11, self._random.randrange(10, 99)
        return f"What is {first} + {second} - {number}?"


def ask_both(engine: Engine, url: str, fresh: Fresh, readings: tuple[Readings, Readings]) -> None:
    """One cycle, in which both have the first turn as often."""
    alone, over_http = readings
    if fresh.cycle % 2:
        ask_engine(engine, fresh, alone)
    asyncio.run(ask_server(url, fresh, over_http))
    if not fresh.cycle % 2:
        ask_engine(engine, fresh, alone)


def ask_engine(engine: Engine, fresh: Fresh, readings: Readings) -> None:
    """One cycle's work without HTTP."""
    readings.bursts.append(generate_all(engine, fresh))
    readings.loads.append(generate_all(engine, fresh, ROUNDS))
    lone = [
        engine.generate([fresh.tokens(STREAMS + number)], adapters=[fresh.adapters[0]], params=GREEDY)[0].timings
        for number in range(LONE)
    ]
    readings.firsts.append(statistics.median(times.first_token_s for times in lone))
    readings.gaps.append(
        statistics.median((times.total_s - times.first_token_s) / (OUTPUT_TOKENS - 1) for times in lone)
    )


def generate_all(engine: Engine, fresh: Fresh, rounds: int = 1) -> Timing:
    """The prompts of a burst, or those of the load, all at once."""
    numbers = numbers_of(rounds)
    prompts = [fresh.tokens(number) for number in numbers]
    choice = [fresh.adapters[number % len(fresh.adapters)] for number in numbers]
    began = time.perf_counter()
    engine.generate(prompts, adapters=choice, params=GREEDY)
    return Timing(began, time.perf_counter() - began)


def numbers_of(rounds: int) -> range:
    """Which of a cycle's prompts a burst (one round) or the load has."""
    return range(STREAMS) if rounds == 1 else range(STREAMS + LONE, STREAMS + LONE + rounds * STREAMS)


async def stream_all(url: str, fresh: Fresh, rounds: int = 1) -> tuple[Timing, float]:
    """What `generate_all` computes, by STREAMS clients over HTTP, and how many events a request had."""
    bodies = [completion(fresh.tokens(n), fresh.adapters[n % len(fresh.adapters)]) for n in numbers_of(rounds)]
    began = time.perf_counter()
    answers = await streams(url, "/v1/completions", bodies, KEY, clients=STREAMS)
    timing = Timing(began, time.perf_counter() - began)
    return timing, statistics.mean(len(times.chunks) for times in answers)


async def ask_server(url: str, fresh: Fresh, readings: Readings) -> None:
    """One cycle's work over HTTP."""
    burst, _ = await stream_all(url, fresh)
    load, events = await stream_all(url, fresh, ROUNDS)
    lone = [
        await stream(url, "/v1/completions", completion(fresh.tokens(STREAMS + number), fresh.adapters[0]), KEY)
        for number in range(LONE)
    ]
    named, new, known = await routed(url, fresh)
    readings.bursts.append(burst)
    readings.loads.append(load)
    readings.events.append(events)
    readings.firsts.append(statistics.median(times.first_token_s for times in lone))
    readings.gaps.append(statistics.median(times.per_token_s(OUTPUT_TOKENS) for times in lone))
    readings.routed_new.append(statistics.median(new) - statistics.median(named))
    readings.routed_known.append(statistics.median(known) - statistics.median(named))


async def routed(url: str, fresh: Fresh) -> tuple[list[float], list[float], list[float]]:
    """First tokens of questions to a named adapter, to `auto`, and to `auto` with a question routed before.

    The prompt of each is in the cache by then, so that the three differ by the routing alone.
    """
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    for number in range(ROUTED):
        question = fresh.question(number)
        await chat(url, "math_reasoning", question)
        for into, model in zip(times, ("math_reasoning", "auto", "auto"), strict=True):
            into.append((await chat(url, model, question)).first_token_s)
    return times


async def chat(url: str, model: str, text: str) -> StreamTimes:
    """One short streamed answer."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 2, "temperature": 0}
    return await stream(url, "/v1/chat/completions", {**body, "ignore_eos": True}, KEY)


def completion(tokens: Sequence[int], model: str) -> dict[str, Any]:
    """A completion of exactly OUTPUT_TOKENS tokens."""
    return {
        "model": model,
        "prompt": list(tokens),
        "max_tokens": OUTPUT_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
    }


def served(config: Mapping[str, Any], directory: Path, setting: Setting) -> AbstractContextManager[str]:
    """A system of its own with ``setting``, that asks for KEY."""
    directory.mkdir()
    keys = {"keys": [{"id": "it", "sha256": hash_key(KEY), "tenant": "it", "scopes": ["generate"]}]}
    (directory / "keys.json").write_text(json.dumps(keys))
    config = copy.deepcopy(dict(config))
    args = config["applications"][0].setdefault("args", {})
    args["security"] = {**args.get("security", {}), "api_keys_file": str(directory / "keys.json")}
    args["adapters"] = {**args.get("adapters", {}), "state_dir": str(directory / "state")}
    return serving(config, directory, setting.environment)


def row_of(setting: Setting, measured: Readings, engine: Readings) -> Row:
    """Medians, and neighbours in time compared with one another."""

    def beyond(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
        return of_values([1000 * (a - b) for a, b in zip(ours, theirs, strict=True)])

    return Row(
        setting.name,
        of_rates(engine.loads, ROUNDS * STREAMS * OUTPUT_TOKENS),
        of_rates(measured.loads, ROUNDS * STREAMS * OUTPUT_TOKENS),
        of_speedup(measured.loads, engine.loads),
        of_speedup(measured.bursts, engine.bursts),
        of_values(measured.events),
        beyond(measured.firsts, engine.firsts),
        beyond(measured.gaps, engine.gaps),
        of_values([1000 * seconds for seconds in measured.routed_new]),
        of_values([1000 * seconds for seconds in measured.routed_known]),
    )


def checks_of(setting: Setting, row: Row) -> list[Check]:
    """What one setting should reach."""
    return [
        Check(f"{setting.name}: share of the engine's throughput, kept up", row.share, setting.least_share),
        Check(f"{setting.name}: the same of one burst", row.burst_share, setting.least_share),
        Check(f"{setting.name}: first token beyond, ms", row.first_token_ms, setting.most_first_ms, at_most=True),
        Check(f"{setting.name}: auto, a new prompt, ms", row.auto_new_ms, MOST_AUTO_MS, at_most=True),
        Check(f"{setting.name}: auto, a known prompt, ms", row.auto_known_ms, MOST_AUTO_MS, at_most=True),
    ]


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    report.table(
        f"{STREAMS} streams over HTTP, and single ones",
        (
            "setting",
            "engine, tokens/s",
            "tokens/s",
            "share",
            "of a burst",
            "events / stream",
            "first token, +ms",
            "each token, +ms",
            "auto, new, +ms",
            "auto, known, +ms",
        ),
        [
            (
                row.setting,
                row.engine_tokens_per_second.text(),
                row.tokens_per_second.text(),
                row.share.text(2),
                row.burst_share.text(2),
                row.events_per_stream.text(1),
                row.first_token_ms.text(1),
                row.per_token_ms.text(2),
                row.auto_new_ms.text(1),
                row.auto_known_ms.text(1),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
