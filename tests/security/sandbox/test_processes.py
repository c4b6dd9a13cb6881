"""Code in the sandbox starts no process, ends none but its own, has no rights, and leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import outcome_of, value_of

pytestmark = needs_bubblewrap

# What forks stays in a process that leaves every group and ignores what it can.
ORPHAN = """
signal = imported('signal')
if os.fork() == 0:
    os.setsid()
    for number in (1, 2, 13, 15):
        signal.signal(number, signal.SIG_IGN)
    os.fork()
    os.closerange(0, a)
    while True:
        imported('time').sleep(1)
return 'forked'
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user beside the sandbox."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


@pytest.mark.parametrize(
    "action",
    [
        "os.fork()",
        "os.posix_spawn(sys.executable, [sys.executable], {})",
        "imported('subprocess').run([sys.executable])",
        "imported('_thread').start_new_thread(print, ())",
    ],
)
def test_no_process_and_no_thread_can_be_started(action: str) -> None:
    assert value_of(f"return tried(lambda: str({action}))") in ("EPERM", "RuntimeError")


def test_a_fork_bomb_is_none() -> None:
    body = """
    refused = 0
    while True:
        try:
            os.fork()
            return 'forked'  # a sandbox that lets it fails the test, not the machine
        except OSError:
            refused += 1
        if refused > 10_000:
            return 'refused'
    """
    assert value_of(body, seconds=5.0) == "refused"


@pytest.mark.usefixtures("_walls")
@pytest.mark.parametrize("open_pipes", [0, 64], ids=["pipes stay open", "pipes are closed"])
def test_what_it_forks_ends_with_the_call(open_pipes: int) -> None:
    outcome = outcome_of(ORPHAN, open_pipes)  # asserts that nothing is left
    assert outcome.values in ((), ("forked",))


@pytest.mark.usefixtures("_walls")
def test_what_it_forks_ends_where_the_code_never_does() -> None:
    assert outcome_of(ORPHAN.replace("return 'forked'", "while True: pass"), 0, seconds=1.0).values == ()


@pytest.mark.usefixtures("_walls")
@pytest.mark.parametrize("target", ["everybody", "the first process", "the caller", "its group", "a bystander"])
def test_signals_reach_nobody_outside(target: str, bystander: subprocess.Popen[bytes]) -> None:
    numbers = {
        "everybody": -1,
        "the first process": 1,
        "the caller": os.getpid(),
        "its group": -os.getpgid(0),
        "a bystander": bystander.pid,
    }
    # Only where it is alone with bubblewrap's process: elsewhere it would end everything of this user.
    body = (
        "return [tried(lambda: os.kill(a, 9)), 'alive'] if os.getpid() == 2 else 'among the processes of the machine'"
    )
    assert value_of(body, numbers[target]) in (
        [None, "alive"],  # sent, and nobody was hit
        ["ESRCH", "alive"],
    )
    assert bystander.poll() is None


@pytest.mark.usefixtures("_walls")
def test_no_process_outside_can_be_looked_into(bystander: subprocess.Popen[bytes]) -> None:
    assert value_of("return [libc.ptrace(how, a, None, None) for how in (16, 0x4206)]", bystander.pid) == [-1, -1]


def test_nor_can_the_first_process_of_the_sandbox() -> None:
    assert value_of("return [libc.ptrace(how, 1, None, None) for how in (16, 0x4206)]") == [-1, -1]  # attach, seize


@pytest.mark.usefixtures("_walls")
@pytest.mark.parametrize("kind", ["user", "mount", "pid", "net", "ipc", "uts", "cgroup"])
def test_no_namespace_can_be_made(kind: str) -> None:
    flags = {
        "user": 0x10000000,
        "mount": 0x00020000,
        "pid": 0x20000000,
        "net": 0x40000000,
        "ipc": 0x08000000,
        "uts": 0x04000000,
        "cgroup": 0x02000000,
    }
    body = "return libc.unshare(a) or libc.unshare(a | 0x10000000)"
    assert value_of(body, flags[kind]) == -1


@pytest.mark.usefixtures("_walls")
def test_nothing_can_be_mounted() -> None:
    body = "return [libc.mount(b'proc', b'/empty', b'proc', 0, None), libc.mount(None, b'/', None, 32, None)]"
    assert value_of(body) == [-1, -1]  # 32: MS_REMOUNT, which would make the root writable


@pytest.mark.usefixtures("_walls")
def test_it_is_nobody_and_cannot_become_root() -> None:
    body = """
    ids = [os.getuid(), os.geteuid(), os.getgid()]
    became = [tried(lambda: os.setuid(0)), tried(lambda: os.setgid(0)), tried(lambda: os.setgroups([0]))]
    head, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(head, rights)
    no_new_rights = libc.prctl(39, 0, 0, 0, 0)  # PR_GET_NO_NEW_PRIVS: programs that are setuid give nothing
    return [ids, became, list(rights), no_new_rights, os.uname().nodename]
    """
    ids, became, rights, no_new_rights, host = value_of(body)  # type: ignore[misc]
    assert ids == [65534, 65534, 65534]
    assert set(became) <= {"EPERM", "EINVAL"}
    assert rights == [0] * 6
    assert no_new_rights == 1
    assert host == "sandbox"
