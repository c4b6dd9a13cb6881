"""The kernels of every instruction set compute the same bits, and the fastest that the processor has are used."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import packed_model
from adaptrix_core.base.packed_model import matrix_struct
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.engine.compute import native
from adaptrix_core.errors import BaseModelError
from adaptrix_core.native import library, sources
from adaptrix_core.native.build import compile_kernels
from adaptrix_core.native.instructions import NEEDS, VARIABLE, choose, choose_here
from tests.native.packed_models import twins
from tests.native.test_kernels import matrix
from tests.tiny_models import random_prompts

AVX2 = {"avx2", "fma", "f16c", "sse4_2"}
VNNI = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}


def run_by_processor() -> list[str]:
    """Instruction sets that can be tried here."""
    fastest = choose_here()
    return list(NEEDS)[list(NEEDS).index(fastest) :]


@pytest.mark.parametrize(
    ("features", "chosen"), [(VNNI, "avx512_vnni"), (VNNI - {"avx512_vnni"}, "avx2"), (AVX2, "avx2")]
)
def test_the_fastest_that_the_processor_has_is_chosen(features: set[str], chosen: str) -> None:
    assert choose(features) == chosen


def test_a_slower_one_can_be_asked_for() -> None:
    assert choose(VNNI, "avx2") == "avx2"


@pytest.mark.parametrize(
    ("features", "wanted", "reason"),
    [
        (AVX2 - {"fma", "f16c"}, None, "the processor lacks fma, f16c"),
        (VNNI - {"avx512vl", "avx512_vnni"}, "avx512_vnni", "the processor lacks avx512vl, avx512_vnni"),
        (VNNI, "sse2", "there are no kernels for 'sse2', only for avx512_vnni, avx2"),
    ],
)
def test_what_cannot_run_is_refused_and_why(features: set[str], wanted: str | None, reason: str) -> None:
    with pytest.raises(BaseModelError, match=f"^{reason}$") as refused:
        choose(features, wanted)
    assert refused.value.code == "no_kernels"


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "avx2")
    assert Path(library.__wrapped__()._name).name.startswith("kernels-avx2-")
    monkeypatch.setenv(VARIABLE, "")
    assert choose_here() == run_by_processor()[0]


@pytest.mark.parametrize("rows", [1, 4, 13])
@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_products_agree_to_the_bit(layout: str, rows: int) -> None:
    packed, x = matrix(layout), torch.randn(rows, 160)

    def product(instructions: str) -> Tensor:
        out = torch.empty(rows, packed.padded_n)
        struct = ctypes.byref(matrix_struct(packed))
        library(instructions).adaptrix_linear(struct, None, 0.0, x.data_ptr(), rows, None, out.data_ptr(), 2)
        return out

    first, *others = map(product, run_by_processor())
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_logits_agree_to_the_bit(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def logits(instructions: str) -> list[Tensor]:
        kernels: Callable[[], ctypes.CDLL] = lambda: library(instructions)  # noqa: E731
        monkeypatch.setattr(packed_model, "library", kernels)
        monkeypatch.setattr(native, "library", kernels)
        packed, _ = twins("qwen2", layout)
        sizes = EngineOptions(block_size=4, kv_cache_tokens=1024, max_batch_tokens=128)
        return Engine(packed, tmp_path / instructions, TrustPolicy("off"), sizes).logits(random_prompts([13, 5, 30]))

    first, *others = map(logits, run_by_processor())
    assert all(all(map(torch.equal, first, other)) for other in others)


@pytest.mark.parametrize("changed", ["interface.h", "instructions/avx2.cpp", "instructions/common.flags"])
def test_a_changed_source_changes_the_name_of_what_is_compiled(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [sources.library_name("avx2")]
    monkeypatch.setattr(sources, "SOURCES", tmp_path / "src")
    shutil.copytree(Path(sources.__file__).parent / "src", tmp_path / "src")
    for _ in range(2):
        sources._digest.cache_clear()
        names.append(sources.library_name("avx2"))
        (tmp_path / "src" / changed).write_text("other")
    sources._digest.cache_clear()
    assert names[0] == names[1] != names[2]


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "cxx"
    failing.write_text("#!/bin/sh\necho out of registers >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("CXX", str(failing))
    with pytest.raises(BaseModelError, match=r"did not compile .*out of registers"):
        compile_kernels("avx2", tmp_path / "made.so")
    assert not (tmp_path / "made.so").exists()
