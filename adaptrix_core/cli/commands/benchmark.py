"""`benchmark`: how fast a running server or a local engine answers, from where you are."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.commands.batch import Outcome, chat_many, read_requests
from adaptrix_core.cli.names import complete_models
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.output import table
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import Answer, TargetRequest
from adaptrix_core.errors import AdaptrixError

PROMPTS = (
    "What is 17 plus 25 minus 8?",
    "Anna is Ben's mother. Ben is Carl's father. Who is Anna to Carl?",
    "Write a Python function that returns the largest number of a list.",
    "Name three rivers in Europe.",
)


@click.command()
@click.option(
    "--model",
    "models",
    shell_complete=complete_models,
    multiple=True,
    default=("auto",),
    show_default=True,
    help="Model of the requests; given several times, they take turns.",
)
@click.option(
    "--requests", "num_requests", type=click.IntRange(min=1), default=32, show_default=True, help="Number of requests."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1024),
    default=8,
    show_default=True,
    help="Requests under way at once.",
)
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=48, show_default=True, help="Most tokens of an answer."
)
@click.option("--ignore-eos", is_flag=True, help="Always generate --max-tokens, so that runs compare.")
@click.option(
    "--file",
    "prompts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Prompts to use, as for query --file.",
)
@target_options
@output_options
@click.pass_obj
def benchmark(
    session: Session,
    models: tuple[str, ...],
    num_requests: int,
    concurrency: int,
    max_tokens: int,
    ignore_eos: bool,
    prompts: Path | None,
) -> None:
    """Send requests and report throughput, time to first token and latency. Exits 1 if any request fails.

    Figures compare only within one machine and one run; `make bench` compares engines.
    """
    template = TargetRequest(messages=(), temperature=0.0, max_tokens=max_tokens, ignore_eos=ignore_eos)
    if prompts is not None:
        pool = read_requests(prompts, template)
    else:
        pool = [template.asking(prompt) for prompt in PROMPTS]
    requests = [replace(pool[index % len(pool)], model=models[index % len(models)]) for index in range(num_requests)]
    outcomes, duration_s = asyncio.run(_measure(session, requests, concurrency))
    report = summarise(outcomes, duration_s, concurrency)
    session.output.result(report, lambda out: _show(out, report))
    if report["num_failed"]:
        raise click.exceptions.Exit(1)


async def _measure(session: Session, requests: list[TargetRequest], concurrency: int) -> tuple[list[Outcome], float]:
    async with session.target() as target:
        # One request before the measurement: the first one pays for lazy loading.
        await target.chat(requests[0])
        with session.output.bar(f"{len(requests)} requests", len(requests)) as advance:
            started = time.perf_counter()
            outcomes = await chat_many(target, requests, concurrency, on_done=advance)
            return outcomes, time.perf_counter() - started


def summarise(outcomes: list[Outcome], duration_s: float, concurrency: int) -> dict[str, Any]:
    """The report as numbers for JSON; percentiles are of single requests, in seconds."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, AdaptrixError)]
    num_tokens = sum(answer.num_completion_tokens for answer in answers)
    return {
        "num_requests": len(outcomes),
        "num_failed": len(failures),
        "first_failure": failures[0].message if failures else None,
        "concurrency": concurrency,
        "duration_s": round(duration_s, 3),
        "requests_per_s": round(len(answers) / duration_s, 3),
        "completion_tokens": num_tokens,
        "completion_tokens_per_s": round(num_tokens / duration_s, 2),
        "first_token_s": _percentiles([answer.first_token_s for answer in answers]),
        "request_s": _percentiles([answer.duration_s for answer in answers]),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and the maximum by nearest rank; empty without values."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        "p50": round(ordered[(len(ordered) - 1) // 2], 4),
        "p95": round(ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)], 4),
        "max": round(ordered[-1], 4),
    }


def _show(out: Console, report: dict[str, Any]) -> None:
    rows = [(key, value) for key, value in report.items() if not isinstance(value, dict) and value is not None]
    for key in ("first_token_s", "request_s"):
        rows += [(f"{key} {name}", value) for name, value in report[key].items()]
    out.print(table(("figure", "value"), rows))
