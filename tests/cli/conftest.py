"""A tiny base model in memory and adapter directories for it; a small world on disk for a local engine or a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from transformers import AutoConfig, AutoModelForCausalLM

from adaptrix_core.adapters import describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.cli.main import cli
from tests.cli.random_adapters import random_weights
from tests.serving.tiny import World, make_world

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
}


@pytest.fixture(autouse=True)
def _own_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What tests ask is not kept in the log of whoever runs them."""
    monkeypatch.setenv("ADAPTRIX_LOGS", str(tmp_path / "logs.db"))


@pytest.fixture(scope="session")
def tiny_base() -> BaseModel:
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **TINY, bos_token_id=1, eos_token_id=2))
    return BaseModel.from_module(module, lineage="test/llama", name="tiny-llama")


@pytest.fixture
def make_package(tiny_base: BaseModel, tmp_path: Path) -> Callable[[str], Path]:
    """``make_package(name)`` -> an unsigned adapter directory for the tiny base."""

    def make(name: str) -> Path:
        weights = random_weights(tiny_base)
        directory = tmp_path / name
        write_package(directory, describe(weights, tiny_base.info, name, description="a test"), weights)
        return directory

    return make


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A tiny base with three signed adapters on disk."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def settings_file(world: World) -> Path:
    """Settings that describe ``world``."""
    path = world.root / "settings.yaml"
    path.write_text(yaml.safe_dump(world.settings()))
    return path


@pytest.fixture
def adaptrix() -> Callable[..., Result]:
    """``adaptrix("query", "hi", input=…)`` runs the command line in this process."""

    def run(*arguments: object, **options: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)  # type: ignore[arg-type]

    return run
