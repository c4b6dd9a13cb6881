"""What a run says of itself: better, no better than the base, or trained for too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.result import (
    TrainingStep,
    TrainResult,
    Validation,
    finished_run,
    read_history,
    write_history,
)
from adaptrix_core.training.run_report import REPORT, verdict, write_report


def result_with(directory: Path, *losses: float) -> TrainResult:
    return TrainResult(
        directory=directory,
        steps=tuple(TrainingStep(number, 2.0 / (number + 1), 1e-3, 0.5) for number in range(4)),
        layers=(1, 2),
        trainable_parameters=10,
        trunk_layer_tokens=0,
        trunk_layer_tokens_reused=0,
        trunk_seconds=0.0,
        trunk_seconds_saved=0.0,
        validation=tuple(Validation(2 * place, loss) for place, loss in enumerate(losses)),
        num_examples=30,
        num_held_out=2 if losses else 0,
    )


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ((), ""),
        ((2.0, 1.5, 1.4), "loss on 2 held-out examples 2.000 → 1.400"),
        ((2.0, 2.5, 2.1), "no better than the base model"),
        ((2.0, 1.0, 1.6), "lowest (1.000) after 2 steps: fewer epochs would have done"),
    ],
)
def test_the_verdict(losses: tuple[float, ...], said: str, tmp_path: Path) -> None:
    assert said in verdict(result_with(tmp_path, *losses))
    assert bool(verdict(result_with(tmp_path, *losses))) is bool(losses)


def test_the_report_has_every_validation_and_no_place(tmp_path: Path) -> None:
    config = TrainConfig(name="mine", output_dir=tmp_path, data=str(tmp_path / "pairs.jsonl"), rank=8)
    write_report(result_with(tmp_path, 2.0, 1.5), config, "org/base", "pairs.jsonl")
    text = (tmp_path / REPORT).read_text()
    for line in ("| rank, alpha | 8, 16 |", "| 0 | 2.0000 | 7.39 |", "| 2 | 1.5000 | 4.48 |", "base_model: org/base"):
        assert line in text
    assert str(tmp_path) not in text


def test_a_history_that_is_written_is_the_run_that_is_found(tmp_path: Path) -> None:
    result = result_with(tmp_path, 2.0, 1.5)
    write_history(result, "fingerprint")
    assert finished_run(tmp_path, "fingerprint", 4) is None, "there are no weights"
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    found = finished_run(tmp_path, "fingerprint", 4)
    assert found is not None
    assert (found.validation, found.first_step, found.layers) == (result.validation, 4, result.layers)
    assert finished_run(tmp_path, "another", 4) is None
    assert finished_run(tmp_path, "fingerprint", 5) is None
    (tmp_path / "training.json").write_text("{broken")
    assert read_history(tmp_path) is None
