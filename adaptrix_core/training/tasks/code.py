"""Short Python functions, generated from a grammar of operations.

Three kinds: pipelines over a list of numbers, chains of steps on a text, and a choice between two formulas. A problem's
key is its combination of operations, constants aside, so a held-out problem is a combination that training never
showed. A reply is right when its function, run in a sandbox, returns what the reference returns on every probe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

from adaptrix_core.training.sandbox import Arguments, Call, run
from adaptrix_core.training.tasks.problem import Problem

_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(r"^def\s+(\w+)\s*\(", re.MULTILINE)


@dataclass(frozen=True)
class Operation:
    """One step: its name, how it is said, and how it is written; ``{k}`` is a small constant, ``{v}`` the value."""

    name: str
    said: tuple[str, ...]
    written: str


_FILTERS = (
    Operation(
        "even", ("keeps only the even numbers", "keeps the even numbers", "takes the even numbers"), "{v} % 2 == 0"
    ),
    Operation("odd", ("keeps only the odd numbers", "keeps the odd numbers"), "{v} % 2 == 1"),
    Operation("positive", ("keeps only the positive numbers", "drops everything that is not positive"), "{v} > 0"),
    Operation("negative", ("keeps only the negative numbers", "keeps the negative numbers"), "{v} < 0"),
    Operation("above", ("keeps the numbers greater than {k}", "keeps only numbers above {k}"), "{v} > {k}"),
    Operation("below", ("keeps the numbers less than {k}", "keeps only numbers below {k}"), "{v} < {k}"),
    Operation("multiple", ("keeps the multiples of {k}", "keeps only numbers divisible by {k}"), "{v} % {k} == 0"),
    Operation("nonzero", ("removes the zeros", "drops all zeros"), "{v} != 0"),
)
_MAPS = (
    Operation("double", ("doubles each number", "doubles every number"), "{v} * 2"),
    Operation("square", ("squares each number", "squares every number"), "{v} ** 2"),
    Operation("add", ("adds {k} to each number", "adds {k} to every number"), "{v} + {k}"),
    Operation("subtract", ("subtracts {k} from each number", "takes {k} away from every number"), "{v} - {k}"),
    Operation("times", ("multiplies each number by {k}", "multiplies every number by {k}"), "{v} * {k}"),
    Operation("negate", ("negates each number", "flips the sign of every number"), "-{v}"),
    Operation("abs", ("takes the absolute value of each number", "makes every number absolute"), "abs({v})"),
)
_ENDS = (
    Operation(
        "sum",
        ("returns the sum", "returns their sum", "returns the total", "adds them up", "sums up the numbers"),
        "sum(xs)",
    ),
    Operation(
        "max",
        ("returns the largest, or 0 if there is none", "returns the maximum, or 0 if empty"),
        "max(xs, default=0)",
    ),
    Operation(
        "min",
        ("returns the smallest, or 0 if there is none", "returns the minimum, or 0 if empty"),
        "min(xs, default=0)",
    ),
    Operation("count", ("returns how many there are", "returns how many numbers are left", "counts them"), "len(xs)"),
    Operation("list", ("returns the list", "returns the resulting list", "gives back the list"), "xs"),
    Operation(
        "sorted",
        ("returns them sorted", "returns the list in ascending order", "sorts them from low to high"),
        "sorted(xs)",
    ),
    Operation("reversed", ("returns the list reversed", "returns them in reverse order"), "xs[::-1]"),
)
_STEPS = (
    Operation(
        "upper", ("converts it to upper case", "makes it uppercase", "turns it into capital letters"), "s.upper()"
    ),
    Operation("lower", ("converts it to lower case", "makes it lowercase", "turns it into small letters"), "s.lower()"),
    Operation("strip", ("strips spaces from both ends", "removes leading and trailing spaces"), "s.strip()"),
    Operation("reverse", ("reverses it", "turns it around", "spells it backwards"), "s[::-1]"),
    Operation("spaces", ("removes all spaces", "deletes every space"), 's.replace(" ", "")'),
    Operation(
        "vowels",
        ("removes the vowels", "drops all vowels", "throws out every vowel"),
        '"".join(c for c in s if c not in "aeiouAEIOU")',
    ),
    Operation("dashes", ("replaces spaces with dashes", "turns spaces into dashes"), 's.replace(" ", "-")'),
    Operation("first", ("keeps the first {k} characters", "takes the first {k} characters"), "s[:{k}]"),
    Operation("last", ("keeps the last {k} characters", "takes the last {k} characters"), "s[-{k}:]"),
    Operation("repeat", ("repeats it {k} times", "repeats the text {k} times"), "s * {k}"),
    Operation("digits", ("removes all digits", "drops the digits"), '"".join(c for c in s if not c.isdigit())'),
)
_TEXT_ENDS = (
    Operation("text", ("returns the result", "returns it", "returns the new text"), "s"),
    Operation("length", ("returns its length", "returns the number of characters"), "len(s)"),
    Operation("words", ("returns the list of words", "returns its words as a list"), "s.split()"),
    Operation("letters", ('returns how often "a" occurs', 'returns the number of times "a" appears'), 's.count("a")'),
)
_CONDITIONS = (
    Operation("even", ("n is even",), "n % 2 == 0"),
    Operation("odd", ("n is odd",), "n % 2 == 1"),
    Operation("positive", ("n is positive", "n is greater than zero"), "n > 0"),
    Operation("negative", ("n is negative", "n is less than zero"), "n < 0"),
    Operation("above", ("n is greater than {k}", "n is above {k}"), "n > {k}"),
    Operation("below", ("n is less than {k}", "n is below {k}"), "n < {k}"),
    Operation("multiple", ("n is divisible by {k}", "n is a multiple of {k}"), "n % {k} == 0"),
)
_FORMULAS = (
    Operation("same", ("n itself", "n unchanged"), "n"),
    Operation("double", ("twice n", "n doubled"), "n * 2"),
    Operation("square", ("n squared", "the square of n"), "n ** 2"),
    Operation("cube", ("n cubed", "the cube of n"), "n ** 3"),
    Operation("plus", ("n plus {k}",), "n + {k}"),
    Operation("minus", ("n minus {k}",), "n - {k}"),
    Operation("times", ("n times {k}", "{k} times n"), "n * {k}"),
    Operation("negate", ("minus n", "the negative of n"), "-n"),
    Operation("abs", ("the absolute value of n",), "abs(n)"),
    Operation("constant", ("{k}",), "{k}"),
)
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
_NUMBERS: tuple[tuple[object, ...], ...] = tuple(
    (list(xs),)
    for xs in ((), (0,), (1, 2, 3, 4), (-3, -2, 0, 5, 6), (7, 7, 12, 15, -9, 8), (10, 3, -4, 6, 9, 0, 2), (5, -1, 20))
)
_TEXTS: tuple[tuple[object, ...], ...] = tuple(
    (s,) for s in ("", "a", "Hello World", "  a banana and 2 Apples ", "MaDaM", "x1y22 z333", "an area  map")
)
_INTEGERS: tuple[tuple[object, ...], ...] = tuple((n,) for n in (-12, -7, -3, -1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 15))


@dataclass(frozen=True)
class _Draft:
    """A specification in words, the lines that fulfil it, and the operations they combine."""

    spec: str
    lines: tuple[str, ...]
    combination: tuple[str, ...]


class FunctionTask:
    """Functions of one argument, drafted from a grammar and checked by running them."""

    instruction = "Reply with the function in a ```python block, nothing else."

    def __init__(
        self,
        name: str,
        draft: Callable[[Random], _Draft],
        variable: str,
        arguments: Sequence[str],
        described: Sequence[str],
        probes: tuple[tuple[object, ...], ...],
    ) -> None:
        self.name = name
        self._draft, self._variable, self._probes = draft, variable, probes
        self._arguments, self._described = arguments, described

    def generate(self, seed: int, count: int) -> list[Problem]:
        """Problems whose reference is the function in a fenced block."""
        return [self._problem(Random(f"{self.name}:{seed}:{i}")) for i in range(count)]

    def score(self, problems: list[Problem], replies: list[str]) -> list[bool]:
        """A reply is right when its function agrees with the reference on every probe."""
        return [self._agrees(p, reply) for p, reply in zip(problems, replies, strict=True)]

    def _problem(self, rng: Random) -> Problem:
        draft = self._draft(rng)
        function = rng.choice(_SINGLE) if rng.random() < 0.4 else f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}"
        argument = rng.choice(self._arguments)
        renamed = re.compile(rf"\b{self._variable}\b")
        question = rng.choice(_ASKING).format(
            f=function, a=argument, what=rng.choice(self._described), spec=renamed.sub(argument, draft.spec)
        )
        body = renamed.sub(argument, "\n".join(f"    {line}" for line in draft.lines))
        source = f"def {function}({argument}):\n{body}"
        key = f"{self.name}: {' '.join(draft.combination)}"
        return Problem(self.name, key, question, f"```python\n{source}\n```", source, {"function": function})

    def _agrees(self, problem: Problem, reply: str) -> bool:
        source = extract_code(reply)
        named = str(problem.facts["function"])
        defined = _NAMED.findall(source)
        if not defined:
            return False
        probes = cast(Arguments, problem.facts.get("arguments", self._probes))
        expected = run(Call(problem.answer, named, probes))
        return not expected.fault and run(Call(source, named if named in defined else defined[-1], probes)) == expected


def extract_code(reply: str) -> str:
    """The last fenced block of a reply that defines a function, or the whole reply where there is none."""
    blocks = [block for block in _FENCED.findall(reply) if "def " in block]
    return blocks[-1] if blocks else reply


def _chosen(operations: Sequence[Operation], rng: Random) -> tuple[Operation, str, str]:
    """An operation with its wording and its code, one constant filled in."""
    operation = rng.choice(operations)
    constant = str(rng.randint(2, 9))
    return operation, rng.choice(operation.said).replace("{k}", constant), operation.written.replace("{k}", constant)


def _pipeline(rng: Random) -> _Draft:
    stages: list[tuple[str, Sequence[Operation]]] = [("filter", _FILTERS), ("map", _MAPS)]
    keep = rng.choice((stages, stages, stages[:1], stages[1:], stages[::-1], []))
    spec, lines, names = [], [], []
    for kind, operations in keep:
        operation, said, written = _chosen(operations, rng)
        value = written.replace("{v}", "x")
        lines.append(f"xs = [x for x in xs if {value}]" if kind == "filter" else f"xs = [{value} for x in xs]")
        spec.append(said)
        names.append(f"{kind}:{operation.name}")
    operation, said, written = _chosen(_ENDS, rng)
    return _Draft(_joined([*spec, said]), (*lines, f"return {written}"), (*names, operation.name))


def _text_steps(rng: Random) -> _Draft:
    spec, lines, names = [], [], []
    for operation in rng.sample(_STEPS, rng.choice((0, 1, 1, 2, 2, 2))):
        _, said, written = _chosen((operation,), rng)
        spec.append(said)
        lines.append(f"s = {written}")
        names.append(operation.name)
    operation, said, written = _chosen(_TEXT_ENDS, rng)
    return _Draft(_joined([*spec, said]), (*lines, f"return {written}"), (*names, operation.name))


def _two_formulas(rng: Random) -> _Draft:
    condition, when, test = _chosen(_CONDITIONS, rng)
    first, then, value = _chosen(_FORMULAS, rng)
    second, otherwise, other = _chosen([f for f in _FORMULAS if f is not first], rng)
    spec = rng.choice(
        (
            "returns {then} if {when}, otherwise {otherwise}",
            "returns {then} when {when} and {otherwise} otherwise",
            "gives back {then} if {when}, else {otherwise}",
            "returns {otherwise}, but {then} if {when}",
        )
    ).format(then=then, when=when, otherwise=otherwise)
    lines = (f"if {test}:", f"    return {value}", f"return {other}")
    return _Draft(spec, lines, (condition.name, first.name, second.name))


def _joined(steps: list[str]) -> str:
    return steps[0] if len(steps) == 1 else f"{', '.join(steps[:-1])} and {steps[-1]}"


def code_tasks() -> tuple[FunctionTask, ...]:
    """The three kinds of functions."""
    lists, texts = ("a list of numbers", "a list of integers", "a list"), ("a string", "a text")
    numbers = ("a number", "an integer")
    return (
        FunctionTask("list_pipeline", _pipeline, "xs", ("xs", "nums", "numbers", "values", "items"), lists, _NUMBERS),
        FunctionTask("text_steps", _text_steps, "s", ("s", "text", "word", "sentence"), texts, _TEXTS),
        FunctionTask("two_formulas", _two_formulas, "n", ("n", "n", "num", "x", "value"), numbers, _INTEGERS),
    )
