"""Runs hostile code in the sandbox, and looks afterwards for what it has left behind."""

from __future__ import annotations

import secrets
import textwrap

import psutil

from adaptrix_core.security.sandbox.call import Call, SandboxOutcome
from adaptrix_core.security.sandbox.run import run_call

_PRELUDE = """\
import collections
# Around the guards of the program inside: everything that the standard library has.
imported = collections._sys.modules["builtins"].__import__
os, sys, errno, socket, ctypes = map(imported, ("os", "sys", "errno", "socket", "ctypes"))
open = imported("io").open
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, MARK, 0, 0, 0)  # PR_SET_NAME: what forks has this name too

def tried(action):
    '''What comes of an action: its value, or the name of its error.'''
    try:
        return action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__

def called(number, *arguments):
    '''A bare system call: its value, or the name of its error.'''
    value = libc.syscall(number, *arguments)
    return value if value >= 0 else errno.errorcode[ctypes.get_errno()]

"""


def outcome_of(body: str, *arguments: object, seconds: float = 5.0) -> SandboxOutcome:
    """What comes of a function with this body; its arguments are ``a``, ``b`` and ``c``.

    Asserts that no process of it is alive when the call returns.
    """
    mark = f"hostile{secrets.token_hex(4)}"
    names = ", ".join("abc"[: len(arguments)])
    source = f"MARK = {mark.encode()!r}\n{_PRELUDE}def f({names}):\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    outcome = run_call(Call(source, "f", (arguments,)), seconds)
    assert not [process for process in psutil.process_iter(["name"]) if process.info["name"] == mark]
    return outcome


def value_of(body: str, *arguments: object, seconds: float = 5.0) -> object:
    """The value that the function returns; it must return one."""
    outcome = outcome_of(body, *arguments, seconds=seconds)
    assert outcome.fault is None, outcome.fault
    (value,) = outcome.values
    return value
