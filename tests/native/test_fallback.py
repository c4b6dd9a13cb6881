"""Where kernels cannot be had, the same model is loaded unpacked, and a warning says why."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.manager import resolve_dtype
from adaptrix_core.base.packed_model import PackedModel
from tests.base.gguf_files import write_gguf
from tests.tiny_models import random_module

UNPACKED = str(resolve_dtype("auto", torch.device("cpu"))).removeprefix("torch.")
"""float32, or bfloat16 where the processor computes with it."""

_LOAD = """
import logging, sys
logging.basicConfig(level="WARNING")
sys.modules["adaptrix_kernels"] = None  # as if it were not installed
from adaptrix_core.base import BaseModelManager
print(BaseModelManager(sys.argv[1], precision="int8").load_model().layout)
"""


def save(directory: Path, variant: str) -> Path:
    random_module(variant).save_pretrained(directory)
    return directory


def test_a_directory_is_packed_when_it_is_loaded(tmp_path: Path) -> None:
    base = BaseModelManager(str(save(tmp_path / "model", "llama")), precision="int8").load_model()
    assert isinstance(base, PackedModel)
    assert (base.info.layout, 0.0 < base.weights.error < 0.02) == ("int8", True)


def test_without_a_compiler_the_model_is_loaded_unpacked(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "", "CXX": "missing-compiler", "ADAPTRIX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", _LOAD, str(save(tmp_path / "model", "llama"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == UNPACKED
    assert "no C++ compiler was found; install g++" in done.stderr


def test_a_family_that_the_kernels_do_not_compute_is_loaded_unpacked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        base = BaseModelManager(str(save(tmp_path / "model", "gemma2")), precision="int8").load_model()
    assert base.layout == UNPACKED
    assert "the kernels do not compute the layers of family 'gemma2'" in caplog.text


@pytest.mark.parametrize(
    ("variant", "biases"),
    [("gemma2", False), ("phi3", False), ("gpt2", False), ("gpt_neox", False), ("llama", True), ("qwen3", True)],
)
def test_a_quantised_file_that_the_kernels_do_not_compute_is_loaded_unpacked(
    variant: str, biases: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    changes = {"attention_bias": True, "mlp_bias": True} if biases else {}
    path = write_gguf(tmp_path / "model.gguf", random_module(variant, vocab_size=288, **changes))
    for _ in range(2):  # converted, then found converted
        assert BaseModelManager(str(path), device="cpu", precision="int4").load_model().layout == UNPACKED


@pytest.mark.parametrize(
    ("optimize", "layout"),
    [("auto", UNPACKED), ("exactness", "float32"), ("latency", "int8"), ("throughput", "int8")],
)
def test_optimize_chooses_the_layout(optimize: str, layout: str, tmp_path: Path) -> None:
    model = str(save(tmp_path / "model", "llama"))
    assert BaseModelManager(model, optimize=optimize).load_model().layout == layout  # type: ignore[arg-type]
