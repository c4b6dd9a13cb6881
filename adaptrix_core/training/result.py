"""The result of a run: its steps and losses, and their file (``training.json``)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HISTORY = "training.json"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class TrainingStep:
    """The record of one optimiser step."""

    number: int
    loss: float
    """Mean cross entropy over the answer tokens of the batch, in nats."""
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Validation:
    """The loss on the held-out examples after ``steps`` steps."""

    steps: int
    loss: float
    """Mean cross entropy over their answer tokens, in nats."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its directory, its history, and the savings of the trunk cache."""

    directory: Path
    steps: tuple[TrainingStep, ...]
    layers: tuple[int, ...]
    trainable_parameters: int
    trunk_layer_tokens: int
    trunk_layer_tokens_reused: int
    trunk_seconds: float
    trunk_seconds_saved: float
    validation: tuple[Validation, ...] = ()
    """First before any step, then after every epoch; empty where nothing was held out."""
    num_examples: int = 0
    num_held_out: int = 0
    first_step: int = 0
    """First step of this call: 0 for a new run, more for a continued one, all steps for one that was found finished."""

    @property
    def final_loss(self) -> float:
        """Mean loss of the last tenth of the steps."""
        tail = self.steps[-max(1, len(self.steps) // 10) :]
        return sum(step.loss for step in tail) / len(tail)

    @property
    def best_validation(self) -> Validation | None:
        """The lowest loss on the held-out examples."""
        return min(self.validation, key=lambda entry: entry.loss, default=None)


def write_history(result: TrainResult, fingerprint: str) -> None:
    """Write ``training.json``. fingerprint: hash of data and settings."""
    plain = {k: v for k, v in asdict(result).items() if k not in ("directory", "steps", "validation", "first_step")}
    payload = {
        **plain,
        "final_loss": result.final_loss,
        "fingerprint": fingerprint,
        "validation": [[entry.steps, round(entry.loss, 5)] for entry in result.validation],
        "columns": ["step", "loss", "learning_rate", "seconds"],
        "steps": [
            [step.number, round(step.loss, 5), round(step.learning_rate, 8), round(step.seconds, 3)]
            for step in result.steps
        ],
    }
    (result.directory / HISTORY).write_text(json.dumps(payload, indent=1) + "\n")


def finished_run(directory: Path, fingerprint: str, num_steps: int) -> TrainResult | None:
    """The run that ended in ``directory`` with this data, these settings and this length; None where there is none."""
    history = read_history(directory)
    if history is None or not (directory / WEIGHTS).is_file():
        return None
    if history.get("fingerprint") != fingerprint or len(history["steps"]) != num_steps:
        return None
    fields = TrainResult.__dataclass_fields__.keys() - {"directory", "first_step", "steps", "validation", "layers"}
    return TrainResult(
        directory=directory,
        steps=tuple(TrainingStep(*step) for step in history["steps"]),
        validation=tuple(Validation(*entry) for entry in history["validation"]),
        layers=tuple(history["layers"]),
        first_step=num_steps,
        **{name: history[name] for name in fields},
    )


def read_history(directory: Path) -> dict[str, Any] | None:
    """The contents of ``training.json``; None where it is missing or invalid."""
    try:
        history = json.loads((directory / HISTORY).read_text())
    except (OSError, ValueError):
        return None
    return history if isinstance(history, dict) else None
