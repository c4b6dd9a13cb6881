"""Where to put the adapted layers: the same short training at several placements, compared by held-out loss.

    python -m benchmarks.layers math_reasoning --steps 60 --placements 6,12,18 10,14,18 15,19,23

Every placement sees the same batches in the same order and has the same number of parameters. The loss, in nats per
token of the reference replies to held-out problems, tells placements apart sooner than the share of right answers. The
interval is 1.96 standard errors over problems; the last column compares problem by problem with the best placement.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel
from rich.console import Console
from rich.table import Table

from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.datasets import load_conversations
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.examples.packing import Example, pack
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.trainer import answer_loss, train_examples


@dataclass(frozen=True)
class Placement:
    """How one placement did."""

    layers: tuple[int, ...]
    losses: tuple[float, ...]
    """Per held-out problem, nats per reply token."""
    seconds: float
    trunk_seconds: float

    @property
    def mean(self) -> float:
        """Mean over problems."""
        return statistics.fmean(self.losses)


def main() -> None:
    """Train and compare; print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=tuple(FAMILIES))
    parser.add_argument("--placements", nargs="+", default=["6,12,18", "10,14,18", "15,19,23"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--problems", type=int, default=120)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    base = BaseModelManager("smollm2-135m", precision="fp32").load_model()
    config = TrainConfig(
        name="placement",
        data=given.family,
        output_dir=Path(),
        examples=given.steps * given.batch_size,
        epochs=1.0,
        batch_size=given.batch_size,
        checkpoint_every=given.steps + 1,
        threads=given.threads,
    )
    placements = [tuple(int(layer) for layer in text.split(",")) for text in given.placements]
    results = [measure(base, replace(config, layers=layers), given.problems) for layers in placements]
    show(results, given.family, given.steps)
    print(
        json.dumps(
            {
                "benchmark": "layers",
                "family": given.family,
                "steps": given.steps,
                "results": [{"layers": r.layers, "loss": r.mean, "seconds": r.seconds} for r in results],
            }
        )
    )


def measure(base: BaseModel, config: TrainConfig, num_problems: int) -> Placement:
    """Train one placement and compute its loss on held-out problems."""
    layers = tuple(int(layer) for layer in config.layers)
    console = Console(stderr=True)
    examples = encode_examples(base, load_conversations(config.data, config.examples, config.seed), 1024)
    held_out = [
        LearntConversation.of_pair(p.question, p.reference) for p in FAMILIES[config.data].held_out(num_problems)
    ]
    with tempfile.TemporaryDirectory() as directory, console.status(f"layers {layers}") as status:
        began = time.perf_counter()
        result = train_examples(
            base,
            examples,
            replace(config, output_dir=Path(directory)),
            lambda step, total: status.update(
                f"layers {layers}: step {step.number + 1} of {total}, loss {step.loss:.3f}"
            ),
        )
        seconds = time.perf_counter() - began
        losses = held_out_losses(base, Path(directory), encode_examples(base, held_out, 1024))
    return Placement(layers, tuple(losses), seconds, result.trunk_seconds)


@torch.inference_mode()
def held_out_losses(base: BaseModel, adapter: Path, examples: Sequence[Example]) -> list[float]:
    """Nats per reply token of each example under a PEFT adapter."""
    peft = PeftModel.from_pretrained(base.module, str(adapter)).eval()
    losses = [answer_loss(peft, pack([example], 1)).item() / example.answer_length for example in examples]
    peft.unload()
    return losses


def show(results: Sequence[Placement], family: str, steps: int) -> None:
    """Print the table, best placement first."""
    best = min(results, key=lambda r: r.mean)
    table = Table(title=f"{family}: loss on {len(best.losses)} held-out problems after {steps} steps")
    for column in ("layers", "loss, nats per token", "more than the best", "training s", "of it trunk s"):
        table.add_column(column, justify="right")
    for result in sorted(results, key=lambda r: r.mean):
        apart = [own - other for own, other in zip(result.losses, best.losses, strict=True)]
        table.add_row(
            ", ".join(map(str, result.layers)),
            _with_error(result.losses),
            "" if result is best else _with_error(apart),
            f"{result.seconds:.0f}",
            f"{result.trunk_seconds:.0f}",
        )
    Console().print(table)


def _with_error(values: Sequence[float]) -> str:
    error = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.4f} ± {error:.4f}"


if __name__ == "__main__":
    main()
