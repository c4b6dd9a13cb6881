"""A run's report for people: ``README.md`` in its directory, and the loss curve as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.result import TrainResult

REPORT = "README.md"
LOSS_CURVE = "loss.png"


def write_report(result: TrainResult, config: TrainConfig, lineage: str, data: str) -> None:
    """Write the report and the picture into the run's directory. data: what it was trained on, without its place."""
    draw_loss(result, result.directory / LOSS_CURVE)
    (result.directory / REPORT).write_text(_report(result, config, lineage, data), encoding="utf-8")


def verdict(result: TrainResult) -> str:
    """One sentence on the held-out examples; empty where there are none."""
    best = result.best_validation
    if best is None:
        return ""
    first, last = result.validation[0], result.validation[-1]
    count = f"{result.num_held_out} held-out example{'' if result.num_held_out == 1 else 's'}"
    change = f"loss on {count} {first.loss:.3f} → {last.loss:.3f}"
    if best.steps == 0:
        return f"{change}: no better than the base model; more examples, or a lower learning rate"
    if last.loss > 1.05 * best.loss:
        return f"{change}, lowest ({best.loss:.3f}) after {best.steps} steps: fewer epochs would have done"
    return change


def _report(result: TrainResult, config: TrainConfig, lineage: str, data: str) -> str:
    seconds = sum(step.seconds for step in result.steps)
    rows = [
        ("base model", lineage),
        ("data", f"{data}: {result.num_examples} examples, {result.num_held_out} more held out"),
        ("layers", ", ".join(map(str, result.layers))),
        ("rank, alpha", f"{config.rank}, {config.lora_alpha:g}"),
        ("trained parameters", str(result.trainable_parameters)),
        ("steps", f"{len(result.steps)} of {config.batch_size} examples, {seconds:.0f} s"),
        ("learning rate, seed", f"{config.learning_rate:g}, {config.seed}"),
        ("loss, first step", f"{result.steps[0].loss:.4f}"),
        ("loss, last tenth", f"{result.final_loss:.4f}"),
    ]
    lines = [
        "---",
        "library_name: peft",
        f"base_model: {lineage}",
        "---",
        f"# {config.name}",
        "",
        f"A LoRA adapter in PEFT's format. Losses are nats per answer token. ![loss by step]({LOSS_CURVE})",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    if result.validation:
        lines += ["", "| steps | held-out loss | held-out perplexity |", "|---|---|---|"]
        lines += [f"| {v.steps} | {v.loss:.4f} | {math.exp(min(v.loss, 700)):.2f} |" for v in result.validation]
        lines += ["", f"{verdict(result)}."]
    return "\n".join(lines) + "\n"


def draw_loss(result: TrainResult, path: Path) -> None:
    """The loss of every step, its running mean and the loss on the held-out examples, as a picture."""
    from matplotlib.figure import Figure  # only here: a second to import, and no global state this way

    losses = [step.loss for step in result.steps]
    window = max(1, len(losses) // 20)
    means = [sum(losses[max(0, i + 1 - window) : i + 1]) / min(window, i + 1) for i in range(len(losses))]
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.plot(losses, color="lightgray", label="step")
    axes.plot(means, label=f"mean of {window}")
    if result.validation:
        axes.plot([v.steps for v in result.validation], [v.loss for v in result.validation], "o--", label="held out")
    axes.set(xlabel="step", ylabel="loss per answer token (nats)", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=100, bbox_inches="tight")
