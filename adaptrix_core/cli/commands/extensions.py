"""`adaptrix extensions`: the parts that Adaptrix and other installed packages have at each extension point."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session


@click.command()
@output_options
@click.pass_obj
def extensions(session: Session) -> None:
    """List the parts that Adaptrix and other installed packages bring: model families, adapter sources, and more."""
    from adaptrix_core.extensions import EXTENSION_POINTS

    found = [
        {
            "point": point.group,
            "kind": point.noun,
            "name": name,
            "origins": [{"package": origin.package, "value": origin.value} for origin in point.origins(name)],
        }
        for point in EXTENSION_POINTS
        for name in point.names()
    ]
    session.output.result(found, lambda console: _show(console, found))


def _show(console: Console, found: list[dict[str, Any]]) -> None:
    table = Table("kind", "name", "from", box=None, header_style="bold")
    for part in found:
        packages = " and ".join(origin["package"] for origin in part["origins"])
        clash = "; uninstall all but one of them" if len(part["origins"]) > 1 else ""
        table.add_row(part["kind"], part["name"], packages + clash)
    console.print(table)
