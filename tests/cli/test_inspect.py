"""`inspect` on a tiny model: a picture for people, a document for programs, clear words for what cannot be drawn."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from rich.console import Console

from adaptrix_core.cli.inspection.layer_ranges import LayerRanges
from adaptrix_core.cli.inspection.picture import draw
from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context.report import ContextReport, StateConflict

Adaptrix = Callable[..., Result]
MIX = ("--mix", "math_reasoning*0.7+code_generation*0.3")


def report(tokens: int = 6, similarity: float = 1.0) -> ContextReport:
    table = torch.full((3, tokens), similarity)
    table[2] = 0.5
    return ContextReport(
        mix="red*0.7+blue*0.3",
        tokens=tuple(f" w{n}" for n in range(tokens)),
        layers=(4, 5, 6),
        similarity=table,
        attention_drift=torch.full((3, 2, tokens), 0.25),
        divergence=torch.linspace(0, 1, tokens),
        agreement=torch.arange(tokens) > 0,
        conflicts=(StateConflict("red", "blue", (None, 0.5, 0.9)),),
        thresholds=ContextSettings(similarity=0.8, conflict=0.7),
    )


def drawn(what: ContextReport, width: int = 80, colour: bool = False) -> str:
    out = Console(file=io.StringIO(), width=width, force_terminal=colour, highlight=False, soft_wrap=True)
    draw(what, out)
    return out.file.getvalue()  # type: ignore[attr-defined]


def test_a_picture_has_a_row_for_each_layer_and_a_cell_for_each_token() -> None:
    lines = drawn(report()).splitlines()
    rows = [line for line in lines if line[:5].strip().isdigit()]
    assert [row.split()[0] for row in rows] == ["4", "5", "6"]
    assert rows[0][5:14] == " |      |"
    assert rows[2][5:14] == " |@@@@@@|"
    assert rows[2].split()[-2:] == ["0.500*", "0.250"]
    text = "\n".join(lines)
    assert "likeliest next token is the base's at 5 of 6 tokens" in text
    assert "most (1.00) after ' w5'" in text
    assert "* similarity below 0.8: layers 6" in text
    assert "conflict of red and blue: at most 0.900, more than 0.7" in text


def test_more_tokens_than_columns_share_them_and_the_most_drifted_shows() -> None:
    wide = report(tokens=200)
    wide.similarity[0, 137] = 0.0
    row = next(line for line in drawn(wide).splitlines() if line.startswith("    4"))
    assert row.count("@") == 1
    assert max(len(line) for line in drawn(wide).splitlines() if line[:5].strip().isdigit()) <= 80


def test_colours_are_for_terminals_alone() -> None:
    assert "\x1b[" not in drawn(report())
    assert "\x1b[" in drawn(report(), colour=True)


def test_a_token_cannot_move_the_cursor() -> None:
    hostile = report()
    object.__setattr__(hostile, "tokens", ("\x1b[2J", *hostile.tokens[1:]))
    assert "\x1b" not in drawn(hostile)


@pytest.mark.parametrize(
    ("text", "layers"), [("8-10", (8, 9, 10)), ("3", (3,)), ("10, 2,4-5", (2, 4, 5, 10)), ("7-7,7", (7,))]
)
def test_layers_are_named_alone_and_in_ranges(text: str, layers: tuple[int, ...]) -> None:
    assert LayerRanges().convert(text, None, None) == layers


@pytest.mark.parametrize("text", ["", "a", "5-3", "-1", "1.5", "0-9999999", "0-5000"])
def test_layers_that_are_none_are_wrong_usage(text: str, adaptrix: Adaptrix, settings_file: Path) -> None:
    done = adaptrix("inspect", "hi", *MIX, "--layers", text, "--config", settings_file)
    assert done.exit_code == 2
    assert "not a list of layers such as" in done.output


def test_the_document_holds_the_whole_comparison(adaptrix: Adaptrix, settings_file: Path) -> None:
    done = adaptrix("inspect", "What is 17 + 25?", *MIX, "--json", "--config", settings_file)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["layers"] == [0, 1, 2, 3]
    assert len(document["similarity"][0]) == len(document["tokens"])
    assert "What is 17 + 25?" in "".join(document["tokens"])
    assert document["conflicts"][0]["adapters"] == ["math_reasoning", "code_generation"]


def test_the_picture_is_drawn_for_a_raw_prompt_and_some_layers(adaptrix: Adaptrix, settings_file: Path) -> None:
    asked = ("inspect", "What is", "--raw", "--no-attention", "--layers", "1-2", *MIX, "--config", settings_file)
    done = adaptrix(*asked)
    assert done.exit_code == 0, done.output
    assert "2 layers" in done.stdout
    assert "attention" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("hi",), 2, "--mix"),
        (("hi", "--mix", "math_reasonin"), 1, "math_reasoning"),
        (("hi", "--mix", "math_reasoning*x"), 1, "math_reasoning"),
        (("hi", *MIX, "--layers", "2,40"), 1, "the model has 4 layers"),
        (("", "--raw", *MIX), 1, "empty"),
    ],
    ids=["no mix", "unknown", "no weight", "no such layer", "empty"],
)
def test_what_cannot_be_inspected_is_told(
    arguments: tuple[str, ...], code: int, message: str, adaptrix: Adaptrix, settings_file: Path
) -> None:
    done = adaptrix("inspect", *arguments, "--config", settings_file)
    assert done.exit_code == code, done.output
    assert message in done.output
