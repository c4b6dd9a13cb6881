"""Code in the sandbox can use up only what it is given: memory, time, files, output."""

from __future__ import annotations

import pytest

from adaptrix_core.security.sandbox.limits import MEMORY_BYTES
from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import outcome_of, value_of

pytestmark = needs_bubblewrap


def test_memory_ends() -> None:
    # The counting stops by itself, so that a sandbox without the limit fails the test and not the machine.
    body = """
    blocks = []
    try:
        while len(blocks) < a:
            blocks.append(b'x' * 2**20)
    except MemoryError:
        pass
    return len(blocks)
    """
    assert value_of(body, 1024) < MEMORY_BYTES / 2**20  # type: ignore[operator]


@pytest.mark.parametrize(
    "action",
    [
        "imported('mmap').mmap(-1, 2**30)",
        "os.memfd_create('memory')",
        "called({'x86_64': 29, 'aarch64': 194}[os.uname().machine], 0, 2**20, 0o1600)",
        "open('/dev/shm/memory', 'wb')",
        "imported('_posixshmem').shm_open('/memory', os.O_CREAT | os.O_RDWR)",
    ],
    ids=["mapped", "a file in memory", "a System V segment", "a file in /dev/shm", "a POSIX segment"],
)
def test_no_memory_is_had_by_another_way(action: str) -> None:
    assert value_of(f"return tried(lambda: str({action}))") in ("ENOMEM", "EPERM", "ENOENT", "EROFS", "EACCES")


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "imported('time').sleep(10**6)",
        "return sum(range(10**12))",
        "imported('signal').pause()",
        "os.read(os.pipe()[0], 1)",
        "while True:\n    tried(lambda: imported('time').sleep(10**6))",
    ],
    ids=["busy", "asleep", "busy in C", "waiting for a signal", "waiting for a pipe", "asleep again and again"],
)
def test_time_ends(body: str) -> None:
    assert outcome_of(body, seconds=1.0).fault in ("timeout", "no result")


def test_ignored_signals_buy_no_time() -> None:
    body = """
    signal = imported('signal')
    for number in set(signal.Signals) - {9, 19}:
        tried(lambda: signal.signal(number, signal.SIG_IGN))
    while True:
        pass
    """
    assert outcome_of(body, seconds=1.0).fault in ("timeout", "no result")


def test_limits_cannot_be_raised() -> None:
    body = """
    resource = imported('resource')
    names = ('AS', 'CPU', 'CORE', 'FSIZE', 'NOFILE', 'NPROC')
    numbers = [getattr(resource, 'RLIMIT_' + name) for name in names]
    return [tried(lambda: resource.setrlimit(n, (2**40, 2**40))) for n in numbers]
    """
    assert value_of(body) == ["ValueError"] * 6  # as the module says that it is not permitted


def test_few_files_can_be_open() -> None:
    assert value_of("return tried(lambda: [os.dup(0) for _ in range(100)])") == "EMFILE"


def test_a_crash_leaves_no_core() -> None:
    # A limit of one byte is the kernel's word for none, for programs that collect crashes too.
    assert value_of("return imported('resource').getrlimit(imported('resource').RLIMIT_CORE)") == [1, 1]
    assert outcome_of("os.abort()").fault == "no result"


@pytest.mark.parametrize("to", [1, 2])
def test_what_is_printed_without_end_is_not_kept(to: int) -> None:
    body = """
    written = 0
    while written < 2**28:
        written += os.write(a, bytes(2**16))
    return written
    """
    assert value_of(body, to) == 2**28


def test_a_reply_without_end_is_not_read() -> None:
    assert outcome_of("while True: os.write(3, b'x' * 2**16)").fault == "too much output"
    assert outcome_of("return 'x' * 2**21").fault == "too much output"
