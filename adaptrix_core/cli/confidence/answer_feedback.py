"""`feedback`: whether an answer was right, which moves how sure such answers must be."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session
from adaptrix_core.confidence.feedback import LOWERED_MOST, RAISED_MOST, threshold_for

ASKED_FOR = (0.5, 0.7, 0.9)
"""Bounds of --min-confidence by which is shown what a label has moved."""


def _told(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise click.BadParameter(
            f"{value:g} is no probability from 0 to 1; give the confidence that the answer told (`adaptrix query` "
            "--confidence); one whose confidence is unknown moves nothing"
        )
    return value


@click.command()
@click.argument("name", shell_complete=complete_adapters)
@click.argument("verdict", type=click.Choice(["right", "wrong"]))
@click.option(
    "--confidence",
    type=float,
    metavar="P",
    required=True,
    callback=_told,
    help="What the answer told of how sure it is.",
)
@target_options
@output_options
@click.pass_obj
def feedback(session: Session, name: str, verdict: str, confidence: float) -> None:
    """Say that an answer of adapter NAME (or base) was right or wrong.

    It moves how sure NAME's answers must be for your own requests with --min-confidence, within bounds, and nobody
    else's. No text is sent or kept. Who should have answered a question is said with `adaptrix route --right`.
    """

    async def work() -> dict[str, Any]:
        async with session.target() as target:
            return await target.label_answer(name, confidence, verdict == "right")

    taken = asyncio.run(work())
    session.output.result(taken, lambda out: _show(out, taken, f"told as {confidence:.2f}, was {verdict}"))


def _show(out: Console, taken: dict[str, Any], said: str) -> None:
    """What a label of an answer has changed."""
    name, moved = taken["adapter"], taken["moved_log_odds"]
    out.print(f"noted: an answer of {name}, {said}", markup=False)
    out.print(f"labels of yours that count: {taken['labels']}", markup=False)
    bounds = f"from {-LOWERED_MOST:+g} to {RAISED_MOST:+g} at most"
    out.print(f"what {name} is asked for is moved by {moved:+.2f} in log-odds ({bounds})", markup=False)
    for at_least in ASKED_FOR:
        now = threshold_for(at_least, {name: moved}, name)
        out.print(f"--min-confidence {at_least:g} now asks it for {now:.2f}", markup=False)
