"""The same experiment on real replicas, and how far the simulator is from it.

    python -m cluster.simulation.real --replicas 1 2 3 --rates 0.5 1 --out runs/real

For every number of replicas it starts the whole system on this machine, asks lone requests first, whose first tokens
tell what HTTP and Ray add, then sends each workload and simulates the same arrivals, with the power of two choices,
as Ray Serve routes. Every replica holds every adapter, so there are no misses on either side. On a machine with few
cores, replicas and the load generator share them, which the simulator does not know: keep the rate low.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adaptrix_core.base import BaseModelManager
from cluster.simulation.engine_model import EngineModel, load_model
from cluster.simulation.policies import PowerOfTwo
from cluster.simulation.simulate import simulate
from loadtest.load import open_client, run_load
from loadtest.random_adapters import write_adapters
from loadtest.records import Record, Summary, summarise, write_jsonl
from loadtest.system import serving
from loadtest.workload import Arrival, WorkloadSpec, generate

LONE_REQUESTS = 12
LONE_PROMPT, LONE_OUTPUT = 48, 8
REPLICA_CPUS = 0.5
COMPARED = ("first_token_p50_s", "first_token_p99_s", "token_p50_s", "tokens_per_s")


@dataclass(frozen=True)
class Comparison:
    """One workload on real replicas and simulated."""

    replicas: int
    workload: WorkloadSpec
    overhead_s: float
    real: Summary
    simulated: Summary

    def errors(self) -> dict[str, float]:
        """By figure: simulated over real, less one."""
        return {name: getattr(self.simulated, name) / getattr(self.real, name) - 1.0 for name in COMPARED}


def main() -> None:
    """Start, measure, simulate, print the errors; end with a line of JSON."""
    given = _arguments().parse_args()
    engine = load_model(given.calibration)
    specs = [
        WorkloadSpec(given.requests, rate, adapters, alpha=alpha, prompt_tokens=(16, 96), output_tokens=(8, 48))
        for adapters, alpha, rate in itertools.product(given.adapters, given.alpha, given.rates)
    ]
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="adaptrix-") as name:
        directory = Path(name)
        base = BaseModelManager(given.base, precision="int4").load_model()
        models = write_adapters(directory / "adapters", base, max(given.adapters))
        del base
        for replicas in given.replicas:
            with serving(serve_config(given.base, replicas, directory), directory, {"OMP_NUM_THREADS": "1"}) as url:
                comparisons += compare(url, replicas, specs, models, engine, given.slo, given.out)
    show(comparisons)
    rows = [{**asdict(comparison), "errors": comparison.errors()} for comparison in comparisons]
    print(json.dumps({"experiment": "real", "engine": asdict(engine), "results": rows}))


def compare(
    url: str,
    replicas: int,
    specs: Sequence[WorkloadSpec],
    models: Sequence[str],
    engine: EngineModel,
    slo_s: float,
    out: Path | None,
) -> Iterator[Comparison]:
    """Each workload sent to ``url`` and simulated."""
    overhead_s = asyncio.run(_overhead(url, models, engine))
    held = replace(engine, load_s=0.0, adapter_slots=len(models), overhead_s=overhead_s)
    for number, spec in enumerate(specs):
        arrivals = generate(spec)
        real = asyncio.run(_load(url, models, arrivals, seed=1 + number))
        simulated = simulate(held, replicas, PowerOfTwo(spec.seed), arrivals)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_jsonl(out / f"replicas-{replicas}-{number}.jsonl", real)
        yield Comparison(replicas, spec, overhead_s, summarise(real, slo_s), summarise(simulated, slo_s))


async def _load(url: str, models: Sequence[str], arrivals: Sequence[Arrival], seed: int) -> list[Record]:
    async with open_client(url) as client:
        return await run_load(client, models, arrivals, seed)


async def _overhead(url: str, models: Sequence[str], engine: EngineModel) -> float:
    """Median of what a lone request's first token takes beyond the engine's step; the first third only warms up."""
    lone = Arrival(0, 0.0, 0, LONE_PROMPT, LONE_OUTPUT)
    beyond = []
    for number in range(LONE_REQUESTS):
        (record,) = await _load(url, models, [replace(lone, adapter=number % len(models))], seed=1000 + number)
        if record.error is not None or record.first_token_s is None:
            raise RuntimeError(f"a lone request failed: {record.error}")
        beyond.append(record.first_token_s - engine.step.seconds(0, LONE_PROMPT))
    return max(0.0, statistics.median(beyond[LONE_REQUESTS // 3 :]))


def serve_config(base: str, replicas: int, directory: Path) -> dict[str, Any]:
    """A Serve config of the whole system without the router, which no request here needs."""
    args = {
        "base": {"model": base, "device": "cpu", "precision": "int4"},
        "adapters": {
            "dir": str(directory / "adapters"),
            "state_dir": str(directory / f"state-{replicas}"),
            "trust": "off",
        },
        "engine": {"cut": 0},
        "router": {"enabled": False},
        "replicas": {"num_replicas": replicas, "cpus": REPLICA_CPUS, "threads": 1},
    }
    application = {"name": "adaptrix", "route_prefix": "/", "import_path": "deployments.app:build", "args": args}
    return {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1"}, "applications": [application]}


def show(comparisons: Sequence[Comparison]) -> None:
    """Print measured, simulated, and the error."""
    table = Table(title="Real replicas, and the simulator's error")
    for column in (
        "replicas",
        "adapters",
        "alpha",
        "rate",
        "failed",
        "p50 first, s",
        "p99 first, s",
        "per token, ms",
        "tokens/s",
        "SLO",
    ):
        table.add_column(column, justify="right")
    for comparison in comparisons:
        spec, real, errors = comparison.workload, comparison.real, comparison.errors()
        table.add_row(
            str(comparison.replicas),
            str(spec.adapters),
            f"{spec.alpha:g}",
            f"{spec.rate:g}",
            str(real.failed),
            f"{real.first_token_p50_s:.3f} ({errors['first_token_p50_s']:+.0%})",
            f"{real.first_token_p99_s:.3f} ({errors['first_token_p99_s']:+.0%})",
            f"{real.token_p50_s * 1000:.1f} ({errors['token_p50_s']:+.0%})",
            f"{real.tokens_per_s:.1f} ({errors['tokens_per_s']:+.0%})",
            f"{real.slo_attainment:.3f}",
        )
    Console(width=140).print(table)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--adapters", type=int, nargs="+", default=[8])
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.6])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 1.0], help="requests per second")
    parser.add_argument("--requests", type=int, default=60, help="requests per workload")
    parser.add_argument("--slo", type=float, default=1.0, help="objective for the first token, seconds")
    parser.add_argument("--calibration", type=Path, default=Path(__file__).parent / "calibration.json")
    parser.add_argument("--out", type=Path, help="directory for the records")
    return parser


if __name__ == "__main__":
    main()
