"""`load`, `unload`, `list` and `active`: the adapters of a running server or a local engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from rich.console import Console

from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import downgrade_option, output_options, target_options
from adaptrix_core.cli.output import table
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import AdapterRow

DIGEST_SHOWN = 12


@click.command()
@click.argument("path")
@click.option("--name", help="Name to serve it under [default: the directory's name].")
@downgrade_option
@target_options
@output_options
@click.pass_obj
def load(session: Session, path: str, name: str | None, allow_downgrade: bool) -> None:
    """Load the adapter directory PATH, checked and verified, while requests go on.

    The name may differ from the signed one, as long as no other adapter has it.

    A server reads PATH itself, and only below the directories that its settings allow. With --local the adapter is
    loaded into an engine that ends with this command: a check that it would load.
    """
    # The server resolves paths from its own working directory, so a path that exists here is made absolute.
    given = str(Path(path).resolve()) if Path(path).exists() else path

    async def work() -> dict[str, object]:
        async with session.target() as target:
            with session.output.waiting(f"loading {path}"):
                return await target.load_adapter(given, name, allow_downgrade)

    loaded = asyncio.run(work())
    session.output.result(loaded, lambda out: out.print(loaded.get("message", f"loaded {name or path}"), markup=False))


@click.command()
@click.argument("name", shell_complete=complete_adapters)
@downgrade_option
@target_options
@output_options
@click.pass_obj
def unload(session: Session, name: str, allow_downgrade: bool) -> None:
    """Unload adapter NAME: requests that use it end first, new ones are refused."""
    if session.local:
        raise click.UsageError("a local engine ends with its command, so there is nothing to unload; drop --local")

    async def work() -> dict[str, object]:
        async with session.target() as target:
            with session.output.waiting(f"unloading {name}"):
                return await target.unload_adapter(name, allow_downgrade)

    unloaded = asyncio.run(work())
    session.output.result(unloaded, lambda out: out.print(unloaded.get("message", f"unloaded {name}"), markup=False))


@click.command("list")
@target_options
@output_options
@click.pass_obj
def list_adapters(session: Session) -> None:
    """List every adapter in the catalogue; with -v also the sampling values for what requests leave open."""
    _show(session, _rows(session))


@click.command()
@target_options
@output_options
@click.pass_obj
def active(session: Session) -> None:
    """List the adapters whose weights are in memory now, and on which replica."""
    _show(session, [row for row in _rows(session) if row.active])


def _rows(session: Session) -> list[AdapterRow]:
    async def work() -> list[AdapterRow]:
        async with session.target() as target:
            return await target.adapters()

    return asyncio.run(work())


def _show(session: Session, rows: list[AdapterRow]) -> None:
    def show(out: Console) -> None:
        if not rows:
            out.print("no adapters")
            return
        cells = [
            (
                f"{row.name}@{row.version}",
                (row.package_digest or "")[:DIGEST_SHOWN],
                row.signer or "unsigned",
                ", ".join(f"{replica}: {place}" for replica, place in row.residency.items()),
                *((_sampling(row),) if session.verbosity > 0 else ()),
                row.description,
            )
            for row in rows
        ]
        sampling = ("sampling",) if session.verbosity > 0 else ()
        out.print(table(("adapter", "digest", "signer", "residency", *sampling, "description"), cells))

    session.output.result([row.as_dict() for row in rows], show)


def _sampling(row: AdapterRow) -> str:
    """Sampling defaults of the adapter or the model, with their source; others are OpenAI's."""
    asked = [(name, entry) for name, entry in (row.sampling or {}).items() if entry["from"] != "default"]
    return ", ".join(f"{name} {entry['value']:g} ({entry['from']})" for name, entry in asked) or "default"
