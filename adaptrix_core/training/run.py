"""From a `TrainConfig` to a trained adapter: load the base, read the data, train, draw the loss curve.

Shows a progress bar. Does not write the adapter directory that is served; `publish.py` does that from the result.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.datasets import load_pairs
from adaptrix_core.training.trainer import Step, TrainResult, encode_examples, train_examples

LOSS_CURVE = "loss.png"


def train(config: TrainConfig, base: BaseModel | None = None, console: Console | None = None) -> TrainResult:
    """Train as ``config`` says; ``base`` saves loading it again. Progress goes to ``console`` (standard error)."""
    console = console or Console(stderr=True)
    if base is None:
        with console.status(f"Loading {config.base_model}"):
            base = BaseModelManager(config.base_model, precision="fp32").load_model()
    with console.status(f"Reading {config.data}"):
        pairs = load_pairs(config.data, config.examples, config.seed)
        examples = encode_examples(base, pairs, config.max_tokens_per_example)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(config.name, total=None)

        def show(step: Step, total: int) -> None:
            progress.update(
                bar, total=total, completed=step.number + 1, description=f"{config.name} loss {step.loss:.3f}"
            )
            if not console.is_terminal:
                console.print(
                    f"step {step.number + 1}/{total} loss {step.loss:.4f} {step.seconds:.1f} s", highlight=False
                )

        result = train_examples(base, examples, config, show)
    draw_loss(result, config.output_dir / LOSS_CURVE)
    return result


def draw_loss(result: TrainResult, path: Path) -> None:
    """The loss of every step, and its running mean, as a picture."""
    from matplotlib.figure import Figure  # only here: a second to import, and no global state this way

    losses = [step.loss for step in result.steps]
    window = max(1, len(losses) // 20)
    means = [sum(losses[max(0, i + 1 - window) : i + 1]) / min(window, i + 1) for i in range(len(losses))]
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.plot(losses, color="lightgray", label="step")
    axes.plot(means, label=f"mean of {window}")
    axes.set(xlabel="step", ylabel="loss per answer token (nats)", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=100, bbox_inches="tight")
