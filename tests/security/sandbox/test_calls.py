"""Calls in either sandbox: good code returns values; bad code returns a fault, in time."""

from __future__ import annotations

import pytest

from adaptrix_core.security.sandbox.call import Call, SandboxOutcome
from adaptrix_core.security.sandbox.run import SandboxKind, run_call
from tests.sandboxes import needs_bubblewrap


@pytest.fixture(params=[pytest.param("bubblewrap", marks=needs_bubblewrap), "process"])
def sandbox(request: pytest.FixtureRequest) -> SandboxKind:
    kind: SandboxKind = request.param
    return kind


def outcome_of(source: str, argument: object, sandbox: SandboxKind, seconds: float = 5.0) -> SandboxOutcome:
    return run_call(Call(source, "f", ((argument,),)), seconds, sandbox)


def test_values_come_back_one_per_call(sandbox: SandboxKind) -> None:
    result = run_call(Call("def f(a, b):\n    return [a, b]", "f", ((1, 2), ("x", None))), sandbox=sandbox)
    assert result == SandboxOutcome(([1, 2], ["x", None]))


def test_useful_modules_are_there(sandbox: SandboxKind) -> None:
    source = (
        "import math, re, string, itertools, functools, collections, typing, random, copy, hashlib\n"
        "def f(x):\n    return math.sqrt(x)"
    )
    assert outcome_of(source, 9, sandbox).values == (3.0,)


def test_long_code_and_long_values_pass_whole(sandbox: SandboxKind) -> None:
    source = f"text = {'ä' * 100_000!r}\ndef f(x):\n    return text + x"
    assert outcome_of(source, "b" * 100_000, sandbox).values == ("ä" * 100_000 + "b" * 100_000,)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(x):\n    return 1 / x", "ZeroDivisionError"),
        ("def f(x)\n    return x", "SyntaxError"),
        ("def g(x):\n    return x", "KeyError"),
        ("import os\ndef f(x):\n    return os.getpid()", "ImportError"),
        ("import socket\ndef f(x):\n    return 1", "ImportError"),
        ("def f(x):\n    return open('/etc/passwd').read()", "NameError"),
        ("def f(x):\n    return eval('1')", "NameError"),
        ("def f(x):\n    return {1, 2}", "TypeError"),
        ("def f(x):\n    return [0] * 10**9", "MemoryError"),
        ("def f(x):\n    raise SystemExit", "SystemExit"),
        ("def f(x):\n    return f(x)", "RecursionError"),
    ],
)
def test_faults_are_named(source: str, fault: str, sandbox: SandboxKind) -> None:
    assert outcome_of(source, 0, sandbox).fault == fault


@pytest.mark.parametrize("body", ["while True:\n        pass", "import typing; typing.sys.modules['time'].sleep(1000)"])
def test_code_without_an_end_is_ended(body: str, sandbox: SandboxKind) -> None:
    assert outcome_of(f"def f(x):\n    {body}", 0, sandbox, seconds=1.0).fault in ("timeout", "no result")


def test_printing_does_not_disturb_the_result(sandbox: SandboxKind) -> None:
    assert outcome_of("print('{')\ndef f(x):\n    print(x)\n    return x", 4, sandbox).values == (4,)


def test_the_environment_and_the_directory_are_empty(monkeypatch: pytest.MonkeyPatch, sandbox: SandboxKind) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "xyz")
    # Around the guards, as an attacker would: the process must have nothing worth finding there.
    source = (
        "import collections\n"
        "def f(x):\n"
        "    posix = collections._sys.modules['posix']\n"
        "    return [[k.decode() for k in posix.environ], posix.listdir('.')]"
    )
    (values,) = outcome_of(source, 0, sandbox).values
    names, files = values  # type: ignore[misc]
    assert set(names) <= {"LD_LIBRARY_PATH", "PWD", "LC_CTYPE"}
    assert files == []
