"""Compiled kernels are found where they are installed, but never those of other sources."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adaptrix_core.native import library, loading
from adaptrix_core.native.instructions import choose_here
from adaptrix_core.native.sources import library_name


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of kernels that holds none; nothing is in the cache and there is no compiler."""
    package = tmp_path / "site" / loading.PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    importlib.invalidate_caches()
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "compiler", lambda: None)
    return package


def test_installed_kernels_are_used_without_a_compiler(installed: Path) -> None:
    library_file = installed / library_name(choose_here())
    library_file.symlink_to(library()._name)
    assert loading.why_not.__wrapped__() is None
    assert loading.library.__wrapped__()._name == str(library_file)


def test_installed_kernels_of_other_sources_are_not(installed: Path) -> None:
    (installed / f"kernels-{choose_here()}-{'0' * 24}.so").symlink_to(library()._name)
    reason = loading.why_not.__wrapped__()
    assert reason is not None
    assert reason.startswith("adaptrix-kernels are installed, but of another version; no C++ compiler was found")


def test_the_kernels_share_the_openmp_runtime_of_torch() -> None:
    program = "from adaptrix_core.native import library; library(); print(open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    mapped = {line.split()[-1] for line in done.stdout.splitlines() if "libgomp" in line}
    assert mapped == {str(Path(torch.__file__).resolve().parent / "lib" / "libgomp.so.1")}
