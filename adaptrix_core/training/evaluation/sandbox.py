"""Runs code written by a model in isolation.

One child interpreter per call (`python -I -S`), in an empty directory, without environment, with limits on memory,
processor time, open files and file size, in a namespace without network where the kernel allows it; it is killed with
its process group at the time limit. Built-ins that reach outside are removed.

This makes honest mistakes and endless loops harmless. It is no protection against an attacker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

MEMORY_BYTES = 512 * 2**20
OUTPUT_BYTES = 2**20


Arguments = tuple[tuple[object, ...], ...]
"""The arguments of each call."""


@dataclass(frozen=True)
class Call:
    """Source text, the function in it to call, and the arguments of each call (values that JSON can carry)."""

    source: str
    function: str
    arguments: Arguments


@dataclass(frozen=True)
class SandboxOutcome:
    """``values`` holds one value per call, or is empty and ``fault`` says why (``timeout``, an exception's name…)."""

    values: tuple[object, ...]
    fault: str | None = None


_CHILD = r"""
import builtins, json, math, resource, sys
call = json.load(sys.stdin)
for name, limits in call["limits"].items():
    resource.setrlimit(getattr(resource, name), limits)
allowed = {"math": math}
def guarded_import(name, *args):
    if name in ("math", "re", "string", "itertools", "functools", "collections", "typing", "random", "copy", "hashlib"):
        return real_import(name, *args)
    raise ImportError("not available: " + name)
real_import = builtins.__import__
names = {k: getattr(builtins, k) for k in dir(builtins)
         if k not in ("open", "exec", "eval", "compile", "input", "breakpoint", "exit", "quit", "help", "__import__")}
names["__import__"] = guarded_import
space = {"__builtins__": names, "__name__": "answer"}
out = sys.stdout
sys.stdout = sys.stderr
try:
    exec(compile(call["source"], "answer", "exec"), space)
    values = [space[call["function"]](*arguments) for arguments in call["arguments"]]
    reply = {"values": values}
    json.dumps(reply)
except BaseException as error:
    reply = {"fault": type(error).__name__}
out.write(json.dumps(reply))
out.flush()
"""


def run_call(call: Call, seconds: float = 5.0) -> SandboxOutcome:
    """Define the source, call the function with each argument list, return the values. Never raises for bad code."""
    payload = json.dumps(
        {"source": call.source, "function": call.function, "arguments": call.arguments, "limits": _limits(seconds)}
    )
    with tempfile.TemporaryDirectory() as empty:
        child = subprocess.Popen(
            [*_isolation(), sys.executable, "-I", "-S", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=empty,
            env={},
            start_new_session=True,
        )
        try:
            printed, _ = child.communicate(payload.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            return SandboxOutcome((), "timeout")
        finally:
            _end(child)
    return _outcome(printed)


def _outcome(printed: bytes) -> SandboxOutcome:
    try:
        reply = json.loads(printed)
    except ValueError:
        return SandboxOutcome((), "no result")
    if "fault" in reply:
        return SandboxOutcome((), reply["fault"])
    return SandboxOutcome(tuple(reply["values"]))


def _limits(seconds: float) -> dict[str, tuple[int, int]]:
    """Soft and hard limits, which the child sets for itself before it reads foreign code, and cannot raise again.

    Setting them between fork and exec would make starting a child from a large process many times slower.
    """
    whole = max(1, round(seconds))
    return {
        "RLIMIT_CPU": (whole, whole + 1),
        "RLIMIT_AS": (MEMORY_BYTES, MEMORY_BYTES),
        "RLIMIT_FSIZE": (OUTPUT_BYTES, OUTPUT_BYTES),
        "RLIMIT_NOFILE": (16, 16),
        "RLIMIT_CORE": (0, 0),
    }


def _isolation() -> list[str]:
    """The `unshare` command that gives the child an empty network namespace; empty if the system forbids it."""
    global _unshare
    if _unshare is None:
        probe = ["unshare", "--user", "--net", "--map-root-user", "--"]
        try:
            works = subprocess.run([*probe, "true"], capture_output=True, timeout=10).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            works = False
        _unshare = probe if works else []
    return _unshare


_unshare: list[str] | None = None


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # the group usually has ended by itself
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
