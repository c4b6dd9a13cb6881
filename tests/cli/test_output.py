"""Tables and results: nothing is read as markup, nothing is lost on a narrow terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from adaptrix_core.cli.output import table


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_keeps_every_cell_whatever_the_width(width: int) -> None:
    console = Console(file=StringIO(), width=width)
    words = "how one member of a family is related to another"
    console.print(table(("adapter", "signer", "description"), [("logical_reasoning@1.0.0", "adaptrix", words)]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "logical_reasoning@1.0.0" in shown
    assert "adaptrix" in shown
    assert all(word in shown for word in words.split())


def test_cells_are_text_and_not_markup() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(table(("a", "b"), [("[bold]x[/bold]", "[/] [red]")]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]x[/bold]" in shown
    assert "[/] [red]" in shown
