"""`embed`: texts to vectors, by the model that the router decides with."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from adaptrix_core.cli.target import Embeddings

PER_REQUEST = 512


@click.command()
@click.argument("texts", nargs=-1)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Embed the lines of this file.",
)
@target_options
@output_options
@click.pass_obj
def embed(session: Session, texts: tuple[str, ...], file: Path | None) -> None:
    """Embed each TEXT: one JSON list of numbers a line, in order. Without TEXT, lines are read from standard input.

    Vectors have length 1, so that the sum of products of two of them is their similarity.
    """
    if texts and file is not None:
        raise click.UsageError("give TEXTS or --file, not both")
    wanted = list(texts) or _lines(file)
    empty = next((place for place, text in enumerate(wanted, 1) if not text.strip()), None)
    if empty:
        raise click.UsageError(f"text {empty} is empty")
    if not wanted:
        raise click.UsageError("there is nothing to embed; give at least one TEXT")

    async def work() -> list[Embeddings]:
        async with session.target() as target:
            starts = range(0, len(wanted), PER_REQUEST)
            return [await target.embed(wanted[start : start + PER_REQUEST]) for start in starts]

    answers = asyncio.run(work())
    vectors = [list(vector) for answer in answers for vector in answer.vectors]

    def show(out: Console) -> None:
        for vector in vectors:
            click.echo(json.dumps(vector))

    data = [{"text": text, "embedding": vector} for text, vector in zip(wanted, vectors, strict=True)]
    session.output.result({"model": answers[0].model, "data": data}, show)


def _lines(file: Path | None) -> list[str]:
    """The lines of the file, or of standard input where that is not a terminal; empty ones are left out."""
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise click.BadParameter(f"{file} is not UTF-8 text: {error}", param_hint="--file") from error
    else:
        text = "" if sys.stdin.isatty() else sys.stdin.read()
    return [line for line in text.splitlines() if line.strip()]
