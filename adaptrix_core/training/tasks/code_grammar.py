"""The grammar that short Python functions are drafted from: operations, their wordings and their code.

Knows words and lines of code. Does not know problems, names of functions or how a reply is checked (`code.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Operation:
    """One step: its name, its wording and its code; ``{k}`` is a small constant, ``{v}`` the value."""

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
_STAGES: tuple[tuple[str, Sequence[Operation]], ...] = (("filter", _FILTERS), ("map", _MAPS))
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
_PAIR_FORMULAS = (
    Operation("sum", ("the sum of a and b", "a plus b"), "a + b"),
    Operation("difference", ("a minus b", "the difference of a and b"), "a - b"),
    Operation("product", ("the product of a and b", "a times b"), "a * b"),
    Operation("larger", ("the larger of a and b", "the maximum of a and b"), "max(a, b)"),
    Operation("smaller", ("the smaller of a and b", "the minimum of a and b"), "min(a, b)"),
    Operation("distance", ("the absolute difference of a and b",), "abs(a - b)"),
    Operation("mean", ("the average of a and b",), "(a + b) / 2"),
    Operation("squares", ("the sum of the squares of a and b",), "a ** 2 + b ** 2"),
    Operation("first", ("a",), "a"),
    Operation("second", ("b",), "b"),
    Operation("constant", ("{k}",), "{k}"),
)
_PAIR_CONDITIONS = (
    Operation("greater", ("a is greater than b", "a is larger than b"), "a > b"),
    Operation("less", ("a is less than b", "a is smaller than b"), "a < b"),
    Operation("equal", ("a equals b", "a and b are equal"), "a == b"),
    Operation("even", ("a is even",), "a % 2 == 0"),
    Operation("odd", ("b is odd",), "b % 2 == 1"),
    Operation("positive", ("both are positive",), "a > 0 and b > 0"),
    Operation("negative", ("a or b is negative",), "a < 0 or b < 0"),
    Operation("above", ("a is above {k}", "a is greater than {k}"), "a > {k}"),
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


@dataclass(frozen=True)
class Draft:
    """A specification in words, the lines that fulfil it, and the operations they combine."""

    spec: str
    lines: tuple[str, ...]
    combination: tuple[str, ...]


def _chosen(operations: Sequence[Operation], rng: Random) -> tuple[Operation, str, str]:
    """An operation with its wording and its code, one constant filled in."""
    operation = rng.choice(operations)
    constant = str(rng.randint(2, 9))
    return operation, rng.choice(operation.said).replace("{k}", constant), operation.written.replace("{k}", constant)


def pipeline(rng: Random) -> Draft:
    """At most one filter and one mapping over a list xs, then what is returned of it."""
    stages = list(_STAGES)
    return _over_list(rng, rng.choice((stages, stages, stages[:1], stages[1:], stages[::-1], [])))


def long_pipeline(rng: Random) -> Draft:
    """Three or four filters and mappings, then what is returned: more than is ever taught."""
    return _over_list(rng, [rng.choice(_STAGES) for _ in range(rng.choice((3, 4)))])


def _over_list(rng: Random, stages: Sequence[tuple[str, Sequence[Operation]]]) -> Draft:
    spec, lines, names = [], [], []
    for kind, operations in stages:
        operation, said, written = _chosen(operations, rng)
        value = written.replace("{v}", "x")
        lines.append(f"xs = [x for x in xs if {value}]" if kind == "filter" else f"xs = [{value} for x in xs]")
        spec.append(said)
        names.append(f"{kind}:{operation.name}")
    operation, said, written = _chosen(_ENDS, rng)
    return Draft(_joined([*spec, said]), (*lines, f"return {written}"), (*names, operation.name))


def text_steps(rng: Random) -> Draft:
    """At most two steps on a text s, then what is returned of it."""
    return _over_text(rng, rng.choice((0, 1, 1, 2, 2, 2)))


def long_text_steps(rng: Random) -> Draft:
    """Three or four steps on a text, then what is returned: more than is ever taught."""
    return _over_text(rng, rng.choice((3, 4)))


def _over_text(rng: Random, steps: int) -> Draft:
    spec, lines, names = [], [], []
    for operation in rng.sample(_STEPS, steps):
        _, said, written = _chosen((operation,), rng)
        spec.append(said)
        lines.append(f"s = {written}")
        names.append(operation.name)
    operation, said, written = _chosen(_TEXT_ENDS, rng)
    return Draft(_joined([*spec, said]), (*lines, f"return {written}"), (*names, operation.name))


def two_formulas(rng: Random) -> Draft:
    """A choice between two formulas of n; at times one formula, or one condition, alone."""
    return _formulas(rng, _CONDITIONS, _FORMULAS)


def two_numbers(rng: Random) -> Draft:
    """A choice between two formulas of a and b; at times one formula, or one condition, alone."""
    return _formulas(rng, _PAIR_CONDITIONS, _PAIR_FORMULAS)


def _formulas(rng: Random, conditions: Sequence[Operation], formulas: Sequence[Operation]) -> Draft:
    condition, when, test = _chosen(conditions, rng)
    first, then, value = _chosen(formulas, rng)
    second, otherwise, other = _chosen([f for f in formulas if f is not first], rng)
    kind = rng.random()
    if kind < 0.1:
        asked = rng.choice(("returns True if {when}", "checks whether {when}", "tells if {when}"))
        return Draft(asked.format(when=when), (f"return {test}",), (f"whether {condition.name}",))
    if kind < 0.3:
        asked = rng.choice(("returns {then}", "computes {then}", "gives back {then}"))
        return Draft(asked.format(then=then), (f"return {value}",), (first.name,))
    spec = rng.choice(
        (
            "returns {then} if {when}, otherwise {otherwise}",
            "returns {then} when {when} and {otherwise} otherwise",
            "gives back {then} if {when}, else {otherwise}",
            "returns {otherwise}, but {then} if {when}",
        )
    ).format(then=then, when=when, otherwise=otherwise)
    lines = (f"if {test}:", f"    return {value}", f"return {other}")
    return Draft(spec, lines, (condition.name, first.name, second.name))


def _joined(steps: list[str]) -> str:
    return steps[0] if len(steps) == 1 else f"{', '.join(steps[:-1])} and {steps[-1]}"
