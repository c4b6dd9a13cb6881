"""Draws a comparison on the terminal: a row for each layer, a column for each token, darker where states differ more.

Plain characters, so that it can be piped and pasted; on a terminal, colours say the same.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from torch import Tensor

from adaptrix_core.cli.output import printable
from adaptrix_core.context.report import ContextReport

SHADES = ((0.001, " ", ""), (0.01, ".", "dim"), (0.05, ":", "cyan"), (0.1, "-", "green"), (0.2, "=", "yellow"))
"""(1 - cosine below which a cell is drawn so, character, colour)."""

DARKER = ((0.4, "#", "red"), (2.1, "@", "bold red"))

WORST_TOKENS = 5
"""Tokens that are named below the picture."""

MARGIN = 38
"""Columns beside the cells: the layer on the left, the numbers on the right."""


def draw(report: ContextReport, out: Console) -> None:
    """Print the picture and what it comes to."""
    drift = 1.0 - report.similarity
    columns = _columns(len(report.tokens), max(16, out.width - MARGIN))
    out.print(f"{report.mix} against base: {len(report.tokens)} tokens, {len(report.layers)} layers", markup=False)
    legend = "  ".join(f"{character!r} < {limit:g}" for limit, character, _ in (*SHADES, DARKER[0]))
    out.print(f"1 - cosine of hidden states: {legend}  '@' more", markup=False, style="dim")
    each = f", each column is up to {len(columns[0])} tokens, their most drifted" if len(columns[0]) > 1 else ""
    attended = "" if report.attention_drift is None else "  attention moved"
    out.print(f"layer{' ' * len(columns)}     similarity{attended}", markup=False, style="dim")
    for place, (layer, similarity) in enumerate(report.layer_similarity.items()):
        line = Text(f"{layer:5d} |")
        for column in columns:
            character, colour = _shade(float(drift[place, column.start : column.stop].max()))
            line.append(character, colour)
        mark = "*" if layer in report.drifted_layers else " "
        line.append(f"|  {similarity:9.3f}{mark}")
        if report.attention_drift is not None:
            line.append(f"  {float(report.attention_drift[place].mean()):15.3f}")
        out.print(line)
    out.print(f"columns: tokens 0 to {len(report.tokens) - 1}{each}", markup=False, style="dim")
    for sentence in _sentences(report, drift):
        out.print(printable(sentence), markup=False)


def _shade(drift: float) -> tuple[str, str]:
    return next((character, colour) for limit, character, colour in (*SHADES, *DARKER) if drift < limit)


def _columns(tokens: int, width: int) -> list[range]:
    """The tokens of each column, as few together as fit."""
    size = -(-tokens // width)
    return [range(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _sentences(report: ContextReport, drift: Tensor) -> list[str]:
    agreed, count = int(report.agreement.sum()), len(report.tokens)
    worst = int(report.divergence.argmax())
    said = [
        f"predictions: the likeliest next token is the base's at {agreed} of {count} tokens; divergence "
        f"{float(report.divergence.mean()):.3f} nats on average, most ({float(report.divergence[worst]):.2f}) after "
        f"{report.tokens[worst]!r}"
    ]
    means = drift.mean(0)
    named = ", ".join(
        f"{report.tokens[place]!r} {float(means[place]):.3f}"
        for place in means.argsort(descending=True)[:WORST_TOKENS].tolist()
    )
    said.append(f"tokens that drifted most: {named}")
    threshold = report.thresholds.similarity
    layers = ", ".join(map(str, report.drifted_layers))
    said.append(
        f"* similarity below {threshold:g}: layers {layers}"
        if layers
        else f"no layer's similarity is below {threshold:g}"
    )
    for pair in report.conflicts:
        verdict = "more than" if pair in report.conflicting else "not above"
        said.append(
            f"conflict of {pair.one} and {pair.other}: at most {pair.largest:.3f}, {verdict} "
            f"{report.thresholds.conflict:g} (0 alike, 0.5 unrelated, 1 undoing each other)"
        )
    return said
