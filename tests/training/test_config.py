"""Training settings: what is impossible is refused at once, all of it; layers are indices or fractions."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.errors import ConfigError
from adaptrix_core.training.config import TrainConfig, resolve_layers


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        TrainConfig(
            name="Not A Name", output_dir=Path("x"), data="", examples=0, epochs=0, batch_size=-1, learning_rate=2.0,
            rank=0, alpha=0.0, layers=(), modules=("self_attn.nothing",), warmup_fraction=1.0, threads=-1,
        )  # fmt: skip
    assert len(raised.value.faults) == 12
    assert all(" must be " in fault for fault in raised.value.faults)


@pytest.mark.parametrize("layers", [(), (-1,), (1.5,), (True,)])
def test_impossible_layers_are_refused(layers: tuple[int | float, ...]) -> None:
    with pytest.raises(ConfigError, match="layers"):
        TrainConfig(name="a", output_dir=Path("x"), data="d", layers=layers)


def test_fractions_are_of_the_depth() -> None:
    assert resolve_layers((0.34, 0.47, 0.6), 30) == (10, 14, 18)
    assert resolve_layers((0.2, 0.4, 0.6), 30) == (6, 12, 18)
    assert resolve_layers((18, 6, 12), 30) == (6, 12, 18)


def test_a_layer_past_the_depth_names_the_depth() -> None:
    with pytest.raises(ConfigError, match="layers contains 30: the base model has 30 layers, 0 to 29"):
        resolve_layers((10, 30), 30)


def test_alpha_follows_the_rank_unless_it_is_given(tmp_path: Path) -> None:
    def alpha(**settings: float) -> float:
        return TrainConfig(name="x", output_dir=tmp_path, data="math_reasoning", **settings).lora_alpha  # type: ignore[arg-type]

    assert alpha() == 128.0  # the default rank is 64, and the scaling 2
    assert alpha(rank=8) == 16.0
    assert alpha(rank=8, alpha=8.0) == 8.0


@pytest.mark.parametrize("name", ["auto", "base", "Upper", "-dash", "", "a" * 65, "two words", "line\n"])
def test_names_that_cannot_be_served_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name is"):
        TrainConfig(name=name, output_dir=tmp_path, data="math_reasoning")


def test_a_rank_that_cannot_be_served_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rank is 513"):
        TrainConfig(name="x", output_dir=tmp_path, data="math_reasoning", rank=513)
