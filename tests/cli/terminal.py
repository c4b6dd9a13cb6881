"""The command on a real pseudo-terminal, typed at and watched as a person would."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0
ROWS, COLUMNS = 40, 120

# Makes the terminal the command's controlling one, so that Ctrl-C typed there reaches it as a signal. A shell has its
# background jobs ignore signals from the keyboard, and so would all that such a job starts, these tests too.
_START = (
    "import fcntl, os, signal, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "[signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)]; "
    "os.execv(sys.executable, [sys.executable, '-m', 'adaptrix_core.cli.main', *sys.argv[1:]])"
)
_CONTROL = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-_])|\r")


class Terminal:
    """One running command and its screen."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._raw = b""
        self._seen = 0

    def type(self, text: str) -> None:
        """Press keys."""
        self.press(text.encode())

    def press(self, keys: bytes) -> None:
        """Send bytes as a keyboard would."""
        os.write(self._master, keys)

    @property
    def written(self) -> str:
        """Everything that was written to the screen, control sequences and all."""
        return self._raw.decode(errors="replace")

    @property
    def shown(self) -> str:
        """Everything that was written to the screen, without control sequences."""
        self._read(0)
        return _CONTROL.sub(b"", self._raw).decode(errors="replace")

    def expect(self, text: str) -> str:
        """Wait until ``text`` is shown, after what was expected before; returns what was shown up to it."""
        self.wait(lambda: text in self.shown[self._seen :], f"{text!r} to be shown")
        begin = self._seen
        self._seen += self.shown[self._seen :].index(text) + len(text)
        return self.shown[begin : self._seen]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"waited {WAIT_S} s for {what}; shown:\n{self.shown}"
            self._read(0.02)

    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed, line by line: how a shell leaves and finds it."""
        wanted = termios.ECHO | termios.ICANON
        return termios.tcgetattr(self._master)[3] & wanted == wanted

    def is_quiet(self) -> bool:
        """Whether the terminal is as it is to be during an answer: no echo, but Ctrl-C makes a signal."""
        local = termios.tcgetattr(self._master)[3]
        return not local & termios.ECHO and bool(local & termios.ISIG)

    def is_editing(self) -> bool:
        """Whether the line editor reads every key itself."""
        return not termios.tcgetattr(self._master)[3] & termios.ISIG

    def ended(self) -> int:
        """Wait for the command's end; its exit code."""
        self.wait(lambda: self.process.poll() is not None, "the command to end")
        return self.process.returncode

    def _read(self, wait_s: float) -> None:
        while select.select([self._master], [], [], wait_s)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nobody has the other end any more
                return
            if not data:
                return
            self._raw += data
            self._answer_where_the_cursor_is(data)
            wait_s = 0

    def _answer_where_the_cursor_is(self, data: bytes) -> None:
        if b"\x1b[6n" in data:
            os.write(self._master, b"\x1b[1;1R")


@contextmanager
def terminal(*arguments: object, environment: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """``adaptrix`` with these arguments on a terminal of its own."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (ROWS, COLUMNS))
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(slave)
        os.close(master)
