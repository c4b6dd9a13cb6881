"""Sweep the simulator over replicas, adapters, skew, rate and load time, under every routing policy.

    python -m cluster.simulation.sweep --plots docs/images --out runs/sweep.jsonl

One axis at a time around a centre (``--product`` for every combination). All policies of a case serve the same
workload. The first half of the requests only fills caches. Prints a table, draws ``scaling-<axis>.png`` and ends with
a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cluster.simulation.cases import AXES, Case, product, star
from cluster.simulation.engine_model import EngineModel, load_model
from cluster.simulation.plots import Result, draw
from cluster.simulation.policies import POLICIES
from cluster.simulation.simulate import simulate
from loadtest.records import summarise
from loadtest.workload import WorkloadSpec, generate

WARM_UP = 0.5
"""Share of the requests that only fills caches."""
DEFAULTS: Mapping[str, Sequence[float]] = {
    "replicas": (1, 4, 16, 64, 256),
    "adapters": (100, 1000, 10_000, 100_000),
    "alpha": (1.0, 0.6, 0.3, 0.1),
    "utilisation": (0.3, 0.5, 0.7, 0.85, 1.0, 1.2),
    "load_s": (0.01, 0.05, 0.2, 0.5, 1.0),
}
CENTRE = Case(replicas=64, adapters=10_000, alpha=0.3, utilisation=0.7, load_s=0.05)


@dataclass(frozen=True)
class Conditions:
    """What all cases of a sweep share."""

    requests_per_replica: int = 400
    prompt_tokens: tuple[int, int] = (8, 128)
    output_tokens: tuple[int, int] = (8, 64)
    cv: float = 1.0
    slo_s: float = 1.0
    seed: int = 42


def workload_of(case: Case, engine: EngineModel, conditions: Conditions) -> WorkloadSpec:
    """The workload of a case: its rate follows from the engine's capacity."""
    lengths = (sum(conditions.prompt_tokens) - 1) / 2, (sum(conditions.output_tokens) - 1) / 2
    return WorkloadSpec(
        requests=conditions.requests_per_replica * case.replicas,
        rate=case.utilisation * case.replicas * engine.capacity(*lengths),
        adapters=case.adapters,
        alpha=case.alpha,
        cv=conditions.cv,
        prompt_tokens=conditions.prompt_tokens,
        output_tokens=conditions.output_tokens,
        seed=conditions.seed,
    )


def run_case(case: Case, engine: EngineModel, conditions: Conditions, policies: Iterable[str]) -> Iterable[Result]:
    """One result per policy, all on the same workload."""
    arrivals = generate(workload_of(case, engine, conditions))
    since_s = arrivals[int(len(arrivals) * WARM_UP)].at_s
    for name in policies:
        policy = POLICIES[name](conditions.seed)
        records = simulate(replace(engine, load_s=case.load_s), case.replicas, policy, arrivals)
        yield Result(case, name, summarise(records, conditions.slo_s, since_s))


def main() -> None:
    """Run the cases, print, draw, write."""
    given = _arguments().parse_args()
    engine = replace(load_model(given.calibration), adapter_slots=given.slots)
    conditions = Conditions(given.requests_per_replica, cv=given.cv, slo_s=given.slo, seed=given.seed)
    values = {axis: getattr(given, axis) for axis in AXES}
    cases = (product if given.product else star)(CENTRE, values)
    results: list[Result] = []
    began = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("simulating", total=len(cases) * len(given.policies))
        for case in cases:
            for result in run_case(case, engine, conditions, given.policies):
                results.append(result)
                progress.advance(task)
    show(results)
    rows = [{**asdict(r.case), "policy": r.policy, **asdict(r.summary)} for r in results]
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if given.plots is not None:
        draw(results, CENTRE, given.plots, f"Simulated; {given.slots} adapters fit a replica, SLO {given.slo:g} s")
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({"experiment": "sweep", "engine": asdict(engine), **asdict(conditions), "seconds": seconds,
                      "results": rows}))  # fmt: skip


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    table = Table(title="Simulated")
    for column in (*AXES, "policy", "tokens/s", "p50 first", "p99 first, s", "hits", "SLO"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for result in results:
        summary = result.summary
        table.add_row(
            *(f"{getattr(result.case, axis):g}" for axis in AXES),
            result.policy,
            f"{summary.tokens_per_s:.0f}",
            f"{summary.first_token_p50_s:.3f}",
            f"{summary.first_token_p99_s:.2f}",
            f"{summary.hit_rate:.3f}",
            f"{summary.slo_attainment:.3f}",
        )
    Console(width=140).print(table)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    for axis, values in DEFAULTS.items():
        kind = int if axis in ("replicas", "adapters") else float
        parser.add_argument(f"--{axis.replace('_', '-')}", type=kind, nargs="+", default=values, help=AXES[axis])
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--product", action="store_true", help="every combination of the axes' values")
    parser.add_argument("--slots", type=int, default=128, help="adapters that a replica holds")
    parser.add_argument("--requests-per-replica", type=int, default=400)
    parser.add_argument("--cv", type=float, default=1.0, help="variation of the gaps; 1 is a Poisson process")
    parser.add_argument("--slo", type=float, default=1.0, help="objective for the first token, seconds")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--calibration", type=Path, default=here / "calibration.json")
    parser.add_argument("--out", type=Path, help="file for the results, one JSON object per line")
    parser.add_argument("--plots", type=Path, help="directory for scaling-<axis>.png")
    return parser


if __name__ == "__main__":
    main()
