"""Code in a process of its own, without walls: for machines without bubblewrap, by somebody's decision.

Limits, an empty environment, an empty working directory, and no network where the kernel allows that. The process can
still read every file that its user can, and write where its user can. This makes honest mistakes and endless loops
harmless. It is no protection against an attacker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.call import Call, SandboxOutcome, written_call
from adaptrix_core.security.sandbox.exchange import exchange
from adaptrix_core.security.sandbox.limits import limits

_INSIDE = str(Path(__file__).with_name("inside.py"))


def run_in_own_process(call: Call, seconds: float) -> SandboxOutcome:
    """Run one call. Raises SandboxUnavailable where the system starts no process for it."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            child = subprocess.Popen(
                [*_without_network(), sys.executable, "-I", "-S", _INSIDE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=empty,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(f"{sys.executable} cannot be started: {error}") from error
        try:
            return exchange(child, written_call(call, limits(seconds)), len(call.arguments), seconds)
        finally:
            _end(child)


@cache
def _without_network() -> tuple[str, ...]:
    """The `unshare` command that gives the process an empty network namespace; empty if the system forbids it."""
    command = ("unshare", "--user", "--net", "--map-root-user", "--")
    try:
        works = subprocess.run([*command, "true"], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    return command if works else ()


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # the group usually has ended by itself
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout):
        assert stream is not None
        with contextlib.suppress(BrokenPipeError):
            stream.close()
