"""The wheel of the kernels: it fits where torch's does, and answers where there is no compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.base import BaseModelManager
from adaptrix_core.native.instructions import NEEDS
from adaptrix_core.native.sources import library_name
from tests.native.test_instructions import run_by_processor
from tests.tiny_models import random_module

ROOT = Path(__file__).resolve().parents[2]

_ANSWER = """
import shutil, sys
from adaptrix_core import Engine, SamplingParams
from adaptrix_core import Engine, SamplingParams
from adaptrix_core.base import BaseModelManager
from adaptrix_core.native import library
assert not any(map(shutil.which, ("g++", "c++", "clang++")))
base = BaseModelManager(sys.argv[1], precision="int8").load_model()
params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
print(base.layout, library()._name, Engine(base).generate([[1, 2, 3]], params=params)[0].token_ids, sep="|")
"""


def project(file: Path) -> dict[str, object]:
    described: dict[str, object] = tomllib.loads(file.read_text())["project"]
    return described


def test_both_packages_have_one_version() -> None:
    main, kernels = project(ROOT / "pyproject.toml"), project(ROOT / "kernels" / "pyproject.toml")
    assert kernels["version"] == main["version"]
    assert main["optional-dependencies"]["kernels"] == [f"adaptrix-kernels=={main['version']}"]  # type: ignore[index]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    for module in ("build", "scikit_build_core", "auditwheel"):
        pytest.importorskip(module, reason="the extra `wheels` is not installed")
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, ROOT / "kernels" / "wheel.py", directory], check=True, capture_output=True)
    (made,) = directory.iterdir()
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel alone of its own; other libraries are those that these tests run with."""
    home = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    installing = ["install", "--no-index", "--no-deps", "--disable-pip-version-check", wheel]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *installing], check=True, capture_output=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "others.pth").write_text("\n".join(place for place in sys.path if place.endswith("site-packages")))
    return python


@pytest.mark.slow
def test_the_wheel_fits_every_python_and_no_newer_linux_than_torch_does(wheel: Path) -> None:
    tag = re.fullmatch(r"adaptrix_kernels-[\d.]+-py3-none-manylinux_2_(\d+)_x86_64\.whl", wheel.name)
    assert tag is not None
    assert int(tag[1]) <= 28


@pytest.mark.slow
@pytest.mark.parametrize("instructions", list(NEEDS))
def test_a_model_answers_without_a_compiler(instructions: str, python: Path, tmp_path: Path) -> None:
    if instructions not in run_by_processor():
        pytest.skip(f"the processor does not run {instructions}")
    random_module("llama").save_pretrained(tmp_path / "model")
    environment = {
        "PATH": str(python.parent),
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "ADAPTRIX_CACHE": str(tmp_path / "cache"),
        "ADAPTRIX_KERNELS": instructions,
    }
    command = [python, "-c", _ANSWER, tmp_path / "model"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    layout, loaded, tokens = done.stdout.strip().split("|")
    assert layout == "int8"
    assert Path(loaded).name == library_name(instructions)
    assert Path(loaded).is_relative_to(python.parent.parent)
    assert tokens == str(greedy_tokens(tmp_path / "model"))


def greedy_tokens(model: Path) -> list[int]:
    """What the kernels that are used here answer."""
    base = BaseModelManager(str(model), precision="int8").load_model()
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    engine = Engine(base)
    try:
        return engine.generate([[1, 2, 3]], params=params)[0].token_ids
    finally:
        engine.loader.close()
