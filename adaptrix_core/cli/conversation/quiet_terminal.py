"""Switches the terminal's echo off while an answer is shown: typed text is kept, but not mixed into the answer."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Cursor keys and their like, as a terminal sends them.
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_READ_BYTES = 65536
_BACKSPACES = "\x08\x7f"


@contextmanager
def quiet_terminal() -> Iterator[None]:
    """Switch the terminal's echo off; Ctrl-C and Ctrl-Z still work. Does nothing without a terminal.

    The terminal is restored at the end in any case, on signals that end the process too (but SIGKILL).
    """
    descriptor = _terminal()
    if descriptor is None:
        yield
        return
    import termios

    saved = termios.tcgetattr(descriptor)

    def restore() -> None:
        termios.tcsetattr(descriptor, termios.TCSANOW, saved)

    with _restored_when_killed(restore):
        try:
            termios.tcsetattr(descriptor, termios.TCSANOW, _silent(saved))
            yield
        finally:
            restore()


def typed_ahead() -> str:
    """The text typed since the echo was switched off, which is taken; empty without a terminal."""
    descriptor = _terminal()
    return "" if descriptor is None else readable(_pending(descriptor))


def readable(data: bytes) -> str:
    """The text of typed bytes: backspaces applied, cursor keys and control characters left out."""
    text = _ESCAPE_SEQUENCE.sub("", data.decode(errors="ignore")).replace("\r", "\n")
    kept: list[str] = []
    for character in text:
        if character in _BACKSPACES:
            del kept[-1:]
        elif character.isprintable() or character == "\n":
            kept.append(character)
    return "".join(kept).strip("\n")


def _terminal() -> int | None:
    """File descriptor of the input's terminal; None without one."""
    try:
        return sys.stdin.fileno() if os.name == "posix" and sys.stdin.isatty() else None
    except (OSError, ValueError):  # closed, or not a file
        return None


def _silent(attributes: list[Any]) -> list[Any]:
    """No echo, and bytes at once instead of whole lines, so that an unfinished line can be read too."""
    import termios

    silent = list(attributes)
    silent[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON)
    return silent


def _pending(descriptor: int) -> bytes:
    data = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:  # the terminal has gone
            break
        data += piece
    return data


@contextmanager
def _restored_when_killed(restore: Callable[[], None]) -> Iterator[None]:
    def end(number: int, _frame: FrameType | None) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signals = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    # Signals that are ignored (nohup) stay ignored.
    before = {number: signal.getsignal(number) for number in signals}
    ours = [number for number in signals if before[number] is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
