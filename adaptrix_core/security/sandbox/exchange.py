"""One call handed to a process inside a sandbox, and its reply taken: within bounds of time and size.

Knows pipes and lines. Does not know how the process is shut in, nor how it is ended.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from typing import IO

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.call import SandboxOutcome, read_reply
from adaptrix_core.security.sandbox.inside import READY
from adaptrix_core.security.sandbox.limits import OUTPUT_BYTES

START_SECONDS = 60.0
"""Longest that a process may take until it is ready for foreign code, on a machine busy with other work. It is no part
of the code's own time."""
_CHUNK = 2**16


class _Late(Exception):
    """The deadline has passed."""


class _Closed(Exception):
    """The other side has closed its end."""


class _TooLong(Exception):
    """A line is longer than allowed."""


def exchange(child: subprocess.Popen[bytes], written: bytes, calls: int, seconds: float) -> SandboxOutcome:
    """Hand over ``written`` (`written_call`) and take the reply, whatever the code does.

    calls: number of values that the reply must have. seconds: wall-clock time of the code. Raises SandboxUnavailable
    where the process ends, or takes too long, before it has read the call: no fault of the code's.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    lines = _Lines(child.stdout.fileno())
    start_by = time.monotonic() + START_SECONDS
    try:
        _send(child.stdin, written, start_by)
        ready = lines.take(len(READY), start_by)
    except (_Closed, _Late, _TooLong) as error:
        raise _did_not_start(error) from None
    if ready != READY.rstrip():
        raise _did_not_start(_Closed())
    try:
        return read_reply(lines.take(OUTPUT_BYTES, time.monotonic() + seconds), calls)
    except _Late:
        return SandboxOutcome((), "timeout")
    except _Closed:
        return SandboxOutcome((), "no result")
    except _TooLong:
        return SandboxOutcome((), "too much output")


def _did_not_start(error: Exception) -> SandboxUnavailable:
    happened = f"was not ready in {START_SECONDS:g} s" if isinstance(error, _Late) else "ended before it was ready"
    return SandboxUnavailable(
        f"the process that should run code in the sandbox {happened}: the machine may be out of memory or of "
        "processes; run the command again when it has room"
    )


def _send(stdin: IO[bytes], written: bytes, deadline: float) -> None:
    """Write all, then close: the code inside finds nothing more to read."""
    os.set_blocking(stdin.fileno(), False)
    left = memoryview(written)
    try:
        while left:
            _wait(stdin.fileno(), select.POLLOUT, deadline)
            left = left[os.write(stdin.fileno(), left[:_CHUNK]) :]
        stdin.close()
    except BrokenPipeError:
        raise _Closed from None


class _Lines:
    """Lines that come out of a pipe."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._held = bytearray()

    def take(self, longest: int, deadline: float) -> bytes:
        """The next line, without its end."""
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            if searched > longest:
                raise _TooLong
            _wait(self._source, select.POLLIN, deadline)
            got = os.read(self._source, _CHUNK)
            if not got:
                raise _Closed
            self._held += got
        if end > longest:
            raise _TooLong
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Until the pipe can be used. Raises _Late at the deadline."""
    waiting = select.poll()
    waiting.register(descriptor, event)
    left = deadline - time.monotonic()
    if left <= 0 or not waiting.poll(math.ceil(1000 * left)):
        raise _Late
