"""Short Python functions, drafted from a grammar of operations and checked by running them.

Four kinds: pipelines over a list of numbers, chains of steps on a text, a choice between two formulas of one number,
and formulas of two numbers. A problem's key is its combination of operations, constants aside, so a held-out problem is
a combination that training never showed; functions of a single operation are taught and never held out. A reply is
right when its function, run in a sandbox, returns what the reference returns on every probe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import cast

from adaptrix_core.security.sandbox.call import Arguments, Call, SandboxOutcome
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox, run_call
from adaptrix_core.training.tasks.code_grammar import (
    Draft,
    long_pipeline,
    long_text_steps,
    pipeline,
    text_steps,
    two_formulas,
    two_numbers,
)
from adaptrix_core.training.tasks.problem import Problem

_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(r"^def\s+(\w+)\s*\(", re.MULTILINE)
_ASKING = (
    "Write a Python function `{f}({a})` that {spec}.",
    "Write a function {f}({a}) in Python that {spec}.",
    "I need a Python function called {f} that takes {what} {a} and {spec}.",
    "Please code a Python function `{f}({a})` which {spec}.",
    "Python: define {f}({a}), which {spec}.",
    "Implement `def {f}({a})` so that it {spec}.",
    "Can you write {f}({a}) in Python? It takes {what} and {spec}.",
    "Write Python code for a function named {f}. It gets {what} called {a} and {spec}.",
    "For my homework I need {f}({a}), a Python function that {spec}. Help me please.",
    "{f}({a}) in python: {spec}",
    "Write a Python function that {spec}.",
    "Write a Python function that takes {what} {a} and {spec}.",
    "python function that {spec}",
)
_VERBS = (
    "get",
    "make",
    "do",
    "apply",
    "find",
    "pick",
    "run",
    "compute",
    "convert",
    "change",
    "handle",
    "build",
    "big",
    "my",
)
_NOUNS = ("it", "result", "value", "rule", "step", "all", "data", "things", "items", "out", "one", "this", "up", "some")
_SINGLE = ("f", "g", "solve", "process", "transform", "func", "answer", "task", "helper", "calculate", "shape", "turn")
_UNNAMED = "solve"
"""Name of the function where the question gives none."""

_NUMBERS: tuple[tuple[object, ...], ...] = tuple(
    (list(xs),)
    for xs in ((), (0,), (1, 2, 3, 4), (-3, -2, 0, 5, 6), (7, 7, 12, 15, -9, 8), (10, 3, -4, 6, 9, 0, 2), (5, -1, 20))
)
_TEXTS: tuple[tuple[object, ...], ...] = tuple(
    (s,) for s in ("", "a", "Hello World", "  a banana and 2 Apples ", "MaDaM", "x1y22 z333", "an area  map")
)
_PAIRS: tuple[tuple[object, ...], ...] = ((0, 0), (1, 2), (7, 3), (-4, 9), (6, -5), (-8, -2), (3, 3), (12, 4), (10, 15))
_INTEGERS: tuple[tuple[object, ...], ...] = tuple((n,) for n in (-12, -7, -3, -1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 15))


class FunctionTask:
    """Functions of one argument, drafted from a grammar and checked by running them."""

    instruction = "Reply with the function in a ```python block, nothing else."

    def __init__(
        self,
        name: str,
        draft: Callable[[Random], Draft],
        variable: str,
        arguments: Sequence[str],
        described: Sequence[str],
        probes: tuple[tuple[object, ...], ...],
    ) -> None:
        self.name = name
        self._draft, self._variable, self._probes = draft, variable, probes
        self._arguments, self._described = arguments, described
        self._expected: dict[str, SandboxOutcome] = {}

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems whose reference is the function in a fenced block."""
        return [self._problem(Random(f"{self.name}:{seed}:{i}")) for i in range(count)]

    def score(self, problems: list[Problem], replies: list[str], sandbox: SandboxKind = "bubblewrap") -> list[bool]:
        """A reply is right when its function agrees with the reference on every probe.

        Raises SandboxUnavailable where code cannot be run in ``sandbox``.
        """
        check_sandbox(sandbox)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda problem, reply: self._agrees(problem, reply, sandbox), problems, replies))

    def _problem(self, rng: Random) -> Problem:
        draft = self._draft(rng)
        asking = rng.choice(_ASKING)
        function = rng.choice(_SINGLE) if rng.random() < 0.4 else f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}"
        function = function if "{f}" in asking else _UNNAMED
        argument = rng.choice(self._arguments) if "{a}" in asking else self._variable
        renamed = re.compile(rf"\b{self._variable}\b")
        question = asking.format(
            f=function, a=argument, what=rng.choice(self._described), spec=renamed.sub(argument, draft.spec)
        )
        body = renamed.sub(argument, "\n".join(f"    {line}" for line in draft.lines))
        source = f"def {function}({argument}):\n{body}"
        key = f"{self.name}: {' '.join(draft.combination)}"
        reply, elementary = f"```python\n{source}\n```", len(draft.combination) == 1
        return Problem(self.name, key, question, reply, source, {"function": function}, elementary)

    def _agrees(self, problem: Problem, reply: str, sandbox: SandboxKind) -> bool:
        source = extract_code(reply)
        named = str(problem.facts["function"])
        defined = _NAMED.findall(source)
        if not defined:
            return False
        probes = cast(Arguments, problem.facts.get("arguments", self._probes))
        wanted = Call(problem.answer, named, probes)
        if repr(wanted) not in self._expected:
            self._expected[repr(wanted)] = run_call(wanted, sandbox=sandbox)
        expected = self._expected[repr(wanted)]
        answered = Call(source, named if named in defined else defined[-1], probes)
        return not expected.fault and run_call(answered, sandbox=sandbox) == expected


def extract_code(reply: str) -> str:
    """The last fenced block of a reply that defines a function, or the whole reply where there is none."""
    blocks = [block for block in _FENCED.findall(reply) if "def " in block]
    return blocks[-1] if blocks else reply


_LISTS = (("xs", "nums", "numbers", "values", "items"), ("a list of numbers", "a list of integers", "a list"), _NUMBERS)
_STRINGS = (("s", "text", "word", "sentence"), ("a string", "a text"), _TEXTS)


def code_tasks() -> tuple[FunctionTask, ...]:
    """The four kinds of functions."""
    numbers = ("a number", "an integer")
    return (
        FunctionTask("list_pipeline", pipeline, "xs", *_LISTS),
        FunctionTask("text_steps", text_steps, "s", *_STRINGS),
        FunctionTask("two_numbers", two_numbers, "a, b", ("a, b",), ("two numbers", "two integers"), _PAIRS),
        FunctionTask("two_formulas", two_formulas, "n", ("n", "n", "num", "x", "value"), numbers, _INTEGERS),
    )


def long_code_tasks() -> tuple[FunctionTask, ...]:
    """Lists and texts with more operations than are taught: three or four before what is returned."""
    return (
        FunctionTask("list_pipeline", long_pipeline, "xs", *_LISTS),
        FunctionTask("text_steps", long_text_steps, "s", *_STRINGS),
    )
