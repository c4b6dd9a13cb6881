"""What a layout of the weights costs: perplexity and greedy agreement against the plain model.

    python -m benchmarks.quality --precisions int4 int8

The text is CPython's own documentation as the interpreter ships it (`pydoc_data.topics`, topics in the order of their
names), its first 20,000 tokens, in windows of 512. The reference is transformers' model over the dequantised weights in
bfloat16; every layout's logits come through the engine. The interval of the perplexity ratio is 1.96 standard errors of
the paired differences over windows.
"""

from __future__ import annotations

import hashlib
import math
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from adaptrix_core.base.manager import DTYPES
from adaptrix_core.base.source import resolve
from adaptrix_core.engine import EngineOptions
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval
from benchmarks.harness.report import Check
from benchmarks.harness.workload import BASE, known_precisions, load_base, make_engine

WINDOW = 512
TARGET = 1.01
"""Times the reference's perplexity."""

Logits = Callable[[list[int]], Tensor]
"""Tokens of a window -> ``(tokens, vocab)``."""


@dataclass(frozen=True)
class Reading:
    """How a model read the text."""

    losses: tuple[float, ...]
    """Mean nats per token of each window."""
    choices: Tensor
    """The likeliest next token everywhere, ``(tokens,)``."""

    @property
    def perplexity(self) -> float:
        """Over the whole text; windows are equally long."""
        return math.exp(statistics.fmean(self.losses))


@dataclass(frozen=True)
class Row:
    """One layout."""

    layout: str
    perplexity: float
    ratio: Interval
    """Of its perplexity to the reference's."""
    agreement: float
    """Share of tokens after which it would choose the same next one."""


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=1)
    parser.add_argument("--precisions", nargs="+", default=["int4", "int8", "fp32"])
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--reference", choices=tuple(DTYPES), default="bf16", help="the plain model's number format")
    given = parser.parse_args()
    text = "\n\n".join(topics[topic] for topic in sorted(topics))
    precisions, skipped = known_precisions(given.precisions)
    base = load_base("fp32")
    windows = windows_of(base.encode(text), given.tokens)
    reference = read(plain_model(DTYPES[given.reference]), windows, f"plain {given.reference}")
    rows = []
    for precision in precisions:
        rows.append(compared(precision, read(engine_model(precision), windows, precision), reference))
    show(rows, reference, given.reference)
    checks = [Check(f"perplexity, {row.layout} / plain", row.ratio, TARGET, at_most=True) for row in rows]
    report.show_checks(checks, digits=4)
    for system, reason in skipped.items():
        print(f"skipped: {system}: {reason}")
    report.finish(
        "quality",
        given.json,
        text={
            "source": "pydoc_data.topics",
            "python": platform.python_version(),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "tokens": WINDOW * len(windows),
        },
        reference={"number_format": given.reference, "perplexity": reference.perplexity},
        results=rows,
        skipped=skipped,
        checks=report.checks_json(checks),
    )


def windows_of(tokens: Sequence[int], count: int) -> list[list[int]]:
    """Whole windows of the first ``count`` tokens."""
    ends = range(WINDOW, min(count, len(tokens)) + 1, WINDOW)
    return [list(tokens[end - WINDOW : end]) for end in ends]


def plain_model(dtype: torch.dtype) -> Logits:
    """transformers' own model over the dequantised weights."""
    model = AutoModelForCausalLM.from_pretrained(resolve(BASE, dtype).directory, dtype=dtype).eval()

    @torch.inference_mode()
    def logits(tokens: list[int]) -> Tensor:
        found: Tensor = model(torch.tensor([tokens])).logits[0]
        return found

    return logits


def engine_model(precision: str) -> Logits:
    """The engine, no adapter."""
    options = EngineOptions(max_batch_tokens=WINDOW, prefix_cache=False)
    engine = make_engine(load_base(precision), Path("no-adapters"), options)
    return lambda tokens: engine.logits([tokens])[0]


def read(logits: Logits, windows: Sequence[list[int]], what: str) -> Reading:
    """Read the text window by window."""
    losses, choices = [], []
    for tokens in track(windows, f"reading: {what}", transient=True):
        scores = logits(tokens).float()
        losses.append(F.cross_entropy(scores[:-1], torch.tensor(tokens[1:])).item())
        choices.append(scores.argmax(-1))
    return Reading(tuple(losses), torch.cat(choices))


def compared(layout: str, reading: Reading, reference: Reading) -> Row:
    """One layout beside the reference."""
    apart = [own - other for own, other in zip(reading.losses, reference.losses, strict=True)]
    mean = statistics.fmean(apart)
    error = 1.96 * statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    ratio = Interval(math.exp(mean), math.exp(mean - error), math.exp(mean + error), len(apart))
    agreement = (reading.choices == reference.choices).double().mean().item()
    return Row(layout, reading.perplexity, ratio, agreement)


def show(rows: Sequence[Row], reference: Reading, number_format: str) -> None:
    """Print the table."""
    report.table(
        f"Perplexity on {reference.choices.numel()} tokens of CPython's documentation",
        ("layout", "perplexity", "to plain", "same next token"),
        [
            (f"plain {number_format}", f"{reference.perplexity:.3f}", "", ""),
            *((r.layout, f"{r.perplexity:.3f}", r.ratio.text(4), f"{r.agreement:.2%}") for r in rows),
        ],
    )


if __name__ == "__main__":
    main()
