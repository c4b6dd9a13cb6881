"""`status`: health, models, residency of adapters, and the cut above which their layers may differ."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session


@click.command()
@target_options
@output_options
@click.pass_obj
def status(session: Session) -> None:
    """Show health, models, adapters in memory, and the cut: the first layer that adapters may change.

    Exits 1 if no server answers.
    """

    async def work() -> dict[str, Any]:
        async with session.target() as target:
            return await target.status()

    document = asyncio.run(work())

    def show(out: Console) -> None:
        for key, value in document.items():
            if key not in ("unloaded", "last_minute"):
                _print_entry(out, key, value)
        for row in document.get("last_minute") or ():
            first_s = row["first_token_p50_s"]
            told = "" if first_s is None else f", first token after {first_s:.3f} s (median)"
            speed = f"{row['requests_per_s']:.2f} requests/s, {row['tokens_per_s']:.1f} tokens/s"
            out.print(f"last minute, {row['adapter'] or 'no answer'}: {speed}{told}", markup=False)
        for name in document.get("unloaded", ()):
            out.print(f"unloaded: {name}, which is shipped; `adaptrix load {name}` brings it back", markup=False)

    session.output.result(document, show)


def _print_entry(out: Console, key: str, value: Any) -> None:
    if isinstance(value, dict):
        parts = [f"{name}={part}" for name, part in value.items() if not isinstance(part, dict | list)]
        out.print(f"{key}: {', '.join(parts) or 'ok'}", markup=False)
    elif key == "adapters":
        resident = [row["name"] for row in value if row["active"]]
        out.print(f"adapters: {len(value)}; in memory: {', '.join(resident) or 'none'}", markup=False)
    elif isinstance(value, list):
        out.print(f"{key}: {', '.join(map(str, value))}", markup=False)
    else:
        out.print(f"{key}: {value}", markup=False)
