"""The sandbox: good code returns values; bad code returns a fault, in time, and touches nothing."""

from __future__ import annotations

import time

import pytest

from adaptrix_core.training.evaluation.sandbox import Call, SandboxOutcome, run_call


def outcome_of(source: str, *arguments: object, seconds: float = 5.0) -> SandboxOutcome:
    return run_call(Call(source, "f", (arguments,)), seconds)


def test_values_come_back_one_per_call() -> None:
    result = run_call(Call("def f(a, b):\n    return [a, b]", "f", ((1, 2), ("x", None))))
    assert result.fault is None
    assert result.values == ([1, 2], ["x", None])


def test_useful_modules_are_there() -> None:
    assert outcome_of("import math, re\ndef f(x):\n    return math.sqrt(x)", 9).values == (3.0,)


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
def test_faults_are_named(source: str, fault: str) -> None:
    assert outcome_of(source, 0).fault == fault


def test_an_endless_loop_is_ended_in_time() -> None:
    started = time.monotonic()
    assert outcome_of("def f(x):\n    while True:\n        pass", 0, seconds=1.0).fault in ("timeout", "no result")
    assert time.monotonic() - started < 10


def test_printing_does_not_disturb_the_result() -> None:
    assert outcome_of("print('{')\ndef f(x):\n    print(x)\n    return x", 4).values == (4,)


def test_the_environment_and_the_directory_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "xyz")
    # Around the guards, as an attacker would: the child must have nothing worth finding there.
    source = (
        "import collections\n"
        "def f(x):\n"
        "    posix = collections._sys.modules['posix']\n"
        "    return [[k.decode() for k in posix.environ], posix.listdir('.')]"
    )
    (values,) = outcome_of(source, 0).values
    names, files = values
    assert "SECRET_OF_MINE" not in names
    assert files == []
