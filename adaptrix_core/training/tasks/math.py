"""Arithmetic in words: sums, one-unknown equations, legs of animals.

The problems and their answers are reasoning-gym's (`chain_sum`, `simple_equations`, `leg_counting`, small settings).
This module puts most of them into other words and writes the brief working that a small model can learn: one operation
a line, in steps that change one digit at a time.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

import reasoning_gym
from reasoning_gym.arithmetic.leg_counting import ANIMALS

from adaptrix_core.training.tasks.problem import NumberScored, Problem, with_answer

OWN_WORDS = 0.35
"""Share of the problems that keep reasoning-gym's wording."""

NUMBER_WORDS = 0.15
"""Share of the reworded problems whose numbers are spelt out."""

_SUM_WORDINGS = (
    "What is {spaced}?",
    "Calculate {spaced}.",
    "{spaced} = ?",
    "{tight}",
    "Work out {spaced} for me, please.",
    "What's {tight}?",
    "whats {spaced}",
    "Can you tell me what {words} is?",
    "What do you get for {words}?",
    "Compute the value of {spaced}",
    "I need the result of {words}",
    "{steps} What number do you end up with?",
    "{steps} What is the result?",
)
_STORIES = (
    ("I have {n} {thing}.", "I get {n} more.", "I give away {n}.", "How many {thing} do I have now?"),
    ("There were {n} {thing}.", "Then {n} are added.", "{n} are taken away.", "How many {thing} are there now?"),
    ("My score is {n}.", "I win {n} points.", "I lose {n} points.", "What is my score?"),
    ("A bus has {n} passengers.", "{n} get on.", "{n} get off.", "How many are on the bus?"),
    ("A box holds {n} {thing}.", "We put {n} in.", "We take {n} out.", "What remains?"),
)
_THINGS = ("apples", "coins", "marbles", "stickers", "books", "cards", "euros", "points")
_EQUATION_WORDINGS = (
    "Solve for {x}: {equation}",
    "If {short}, what is {x}?",
    "{short}. Find {x}.",
    "What value of {x} makes {equation} true?",
    "Solve the equation {short}",
    "What is {x} in {equation}?",
    "{x} is unknown and {short}. What is {x}?",
    "Please find {x} such that {equation}.",
    "work out {x}: {short}",
    "Help me with this: {words}, so what is {x}?",
)
_LINEAR_STORIES = (
    "A number times {factor} {plus} {offset} gives {total}. Which number is it?",
    "I think of a number, multiply it by {factor} and {add} {offset}. I get {total}. What is my number?",
    "{factor} times a number {plus} {offset} is {total}. What is the number?",
)
_LEG_WORDINGS = (
    "How many legs do {animals} have in total?",
    "Count the legs: {animals}.",
    "There are {animals} in a room. How many legs is that altogether?",
    "How many legs are there if I see {animals}?",
    "If you have {animals}, how many legs are there in all?",
    "A farm has {animals}. What is the total number of legs?",
    "Total legs of {animals}?",
    "{animals} walk by. How many legs do they walk on?",
    "I drew {animals}. Add up all their legs.",
)
_ONES = (  # noqa: SIM905 - words in a line read better than twenty quoted ones
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def spelt(number: int) -> str:
    """A number from 0 to 99 in words; larger ones stay in digits."""
    if number > 99:
        return str(number)
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


class ChainSum(NumberScored):
    """Two to four whole numbers of one or two digits, added and subtracted from left to right."""

    name = "chain_sum"
    instruction = 'Work it out step by step, briefly, and finish with a line "Answer: <number>".'

    def __init__(self, terms: tuple[int, int] = (2, 4), digits: int = 2) -> None:
        """terms: fewest and most numbers of a sum. digits: most digits of a number."""
        self._terms, self._digits = terms, digits

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with the running total as working."""
        source = reasoning_gym.create_dataset(
            "chain_sum",
            seed=seed,
            size=count,
            min_terms=self._terms[0],
            max_terms=self._terms[1],
            max_digits=self._digits,
        )
        return [self._problem(entry, Random(seed + i)) for i, entry in enumerate(source)]

    def _problem(self, entry: dict[str, Any], rng: Random) -> Problem:
        expression = entry["metadata"]["expression"]
        question = entry["question"] if rng.random() < OWN_WORDS else _reworded_sum(expression, rng)
        reference = with_answer("\n".join(running_totals(expression)), entry["answer"])
        return Problem(self.name, expression, question, reference, entry["answer"])


def _parsed(expression: str) -> tuple[int, list[tuple[str, int]]]:
    parts = expression.split()
    return int(parts[0]), [(sign, int(number)) for sign, number in zip(parts[1::2], parts[2::2], strict=True)]


def running_totals(expression: str) -> list[str]:
    """The working of a sum such as ``7 + 12 - 5``: one line for each operation, from left to right."""
    total, rest = _parsed(expression)
    lines = []
    for sign, number in rest:
        lines.append(worked(total, sign, number))
        total = total + number if sign == "+" else total - number
    return lines


def worked(left: int, sign: str, right: int) -> str:
    """A sum or difference with its steps, for ``right`` of at least 0: "38 - 57 = -(57 - 38) = -(27 - 8) = -19".

    What is below zero is turned into a sum or difference of positive numbers, and tens are taken before ones.
    """
    asked = f"{left} {sign} {right} = "
    if sign == "-" and 0 <= left < right:
        return f"{asked}-({right} - {left}) = {_by_tens(right, '-', left, '-({})')}"
    if left < 0 and sign == "-":
        return f"{asked}-({-left} + {right}) = {_by_tens(-left, '+', right, '-({})')}"
    if left < 0 and right < -left:
        return f"{asked}-({-left} - {right}) = {_by_tens(-left, '-', right, '-({})')}"
    if left < 0:
        return f"{asked}{right} - {-left} = {_by_tens(right, '-', -left, '{}')}"
    return asked + _by_tens(left, sign, right, "{}")


def _by_tens(left: int, sign: str, right: int, around: str) -> str:
    """The result for numbers of at least 0, after one step for the tens where there are tens and ones."""
    direction = 1 if sign == "+" else -1
    result = left + direction * right
    value = str(-result if around != "{}" else result)
    tens, ones = right - right % 10, right % 10
    if not tens or not ones:
        return value
    return f"{around.format(f'{left + direction * tens} {sign} {ones}')} = {value}"


def _reworded_sum(expression: str, rng: Random) -> str:
    first, rest = _parsed(expression)
    say = spelt if rng.random() < NUMBER_WORDS else str
    totals = [int(line.rsplit(" = ", 1)[1]) for line in running_totals(expression)]
    if min(totals) >= 0 and rng.random() < 0.35:
        start, gain, loss, ask = rng.choice(_STORIES)
        told = [start.format(n=say(first), thing="{thing}")]
        told += [(gain if sign == "+" else loss).format(n=say(number)) for sign, number in rest]
        return " ".join([*told, ask]).replace("{thing}", rng.choice(_THINGS))
    steps = [f"Start with {say(first)}"] + [f"{'add' if s == '+' else 'subtract'} {say(n)}" for s, n in rest]
    words = " ".join([say(first)] + [f"{'plus' if s == '+' else 'minus'} {say(n)}" for s, n in rest])
    wordings = _SUM_WORDINGS if say is str else [w for w in _SUM_WORDINGS if "{words}" in w or "{steps}" in w]
    wording = rng.choice(wordings)
    return wording.format(
        spaced=expression, tight=expression.replace(" ", ""), words=words, steps=", ".join(steps) + "."
    )


class SimpleEquations(NumberScored):
    """One unknown: ``a*x ± b = c``, ``b - a*x = c``, ``x ± b = c``; coefficients up to ten, whole solutions."""

    name = "simple_equations"
    instruction = 'Solve it step by step, briefly, and finish with a line "Answer: <number>".'

    def __init__(self, largest: int = 10) -> None:
        """largest: of the coefficients."""
        self._largest = largest

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with one inverse operation a line as working; equations of other shapes are drawn again."""
        problems: list[Problem] = []
        rng = Random(seed)
        # reasoning-gym also makes products and repeated unknowns; those shapes are left out.
        source = reasoning_gym.create_dataset(
            "simple_equations",
            seed=seed,
            size=count * 4,
            min_terms=2,
            max_terms=2,
            min_value=1,
            max_value=self._largest,
        )
        for entry in source:
            working = _solve(entry["metadata"]["equation"], entry["metadata"]["variable"])
            if working is not None:
                problems.append(self._problem(entry, working, rng))
            if len(problems) == count:
                break
        return problems

    def _problem(self, entry: dict[str, Any], working: list[str], rng: Random) -> Problem:
        equation, unknown = entry["metadata"]["equation"], entry["metadata"]["variable"]
        question, reference = entry["question"], with_answer("\n".join(working), entry["answer"])
        if rng.random() >= OWN_WORDS:
            story = _equation_story(equation, rng) if rng.random() < 0.25 else None
            question = story or _reworded_equation(equation, unknown, rng)
            if story:  # a story names no unknown, so the working calls it x
                reference = re.sub(rf"\b{unknown}\b", "x", reference)
        key = re.sub(rf"\b{unknown}\b", "x", equation)
        return Problem(self.name, key, question, reference, entry["answer"])


def _equation_story(equation: str, rng: Random) -> str | None:
    """``a*x ± b = c`` told as a number that somebody thinks of; None for another shape."""
    linear = _LINEAR_FIRST.match(equation)
    if linear is None or not linear[1] or not linear[4]:
        return None
    say = spelt if rng.random() < NUMBER_WORDS else str
    plus, add = ("plus", "add") if linear[3] == "+" else ("minus", "subtract")
    return rng.choice(_LINEAR_STORIES).format(
        factor=say(int(linear[1])), offset=say(int(linear[4])), total=linear[5], plus=plus, add=add
    )


def _reworded_equation(equation: str, unknown: str, rng: Random) -> str:
    short = equation.replace("*", "") if rng.random() < 0.7 else equation
    words = equation.replace("*", " times ").replace("+", "plus").replace("-", "minus").replace("=", "equals")
    return rng.choice(_EQUATION_WORDINGS).format(x=unknown, equation=equation, short=short, words=words)


_LINEAR_FIRST = re.compile(r"^(?:(\d+)\*)?([a-z])(?: ([+-]) (\d+))? = (-?\d+)$")
_NUMBER_FIRST = re.compile(r"^(\d+) ([+-]) (?:(\d+)\*)?([a-z]) = (-?\d+)$")


def _solve(equation: str, unknown: str) -> list[str] | None:
    """One line per inverse operation; None for a shape that is not taught."""
    if match := _LINEAR_FIRST.match(equation):
        factor, sign, offset = int(match[1] or 1), match[3] or "+", int(match[4] or 0)
        total = int(match[5])
        value = total - offset if sign == "+" else total + offset
        step = worked(total, "-" if sign == "+" else "+", offset) if offset else ""
    elif match := _NUMBER_FIRST.match(equation):
        offset, sign, factor, total = int(match[1]), match[2], int(match[3] or 1), int(match[5])
        value = total - offset if sign == "+" else offset - total
        # "8 - x = -2" gives x = 8 + 2: subtracting a negative number is written as the sum it is.
        left, right = (total, offset) if sign == "+" else (offset, total)
        step = worked(left, "-", right) if right >= 0 else worked(left, "+", -right)
    else:
        return None
    if value % factor:
        return None
    if not step:
        return [f"{unknown} = {total} / {factor} = {value // factor}"]
    if factor == 1:
        return [f"{unknown} = {step}"]
    return [f"{factor}*{unknown} = {step}", f"{unknown} = {value} / {factor} = {value // factor}"]


class LegCounting(NumberScored):
    """The legs of one to three kinds of animals, one to five of each."""

    name = "leg_counting"
    instruction = 'Work it out step by step, briefly, and finish with a line "Answer: <number>".'

    def __init__(self, kinds: tuple[int, int] = (1, 3), most: int = 5) -> None:
        """kinds: fewest and most kinds of animals. most: animals of one kind."""
        self._kinds, self._most = kinds, most

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with one multiplication per kind and the running total as working."""
        source = reasoning_gym.create_dataset(
            "leg_counting",
            seed=seed,
            size=count,
            min_animals=self._kinds[0],
            max_animals=self._kinds[1],
            max_instances=self._most,
        )
        return [self._problem(entry, Random(seed + i)) for i, entry in enumerate(source)]

    def _problem(self, entry: dict[str, Any], rng: Random) -> Problem:
        animals: dict[str, int] = entry["metadata"]["animals"]
        question = entry["question"].strip()
        if rng.random() >= OWN_WORDS:
            question = rng.choice(_LEG_WORDINGS).format(animals=_listed(animals, rng))
        lines = [f"{name}: {number} * {ANIMALS[name]} = {number * ANIMALS[name]}" for name, number in animals.items()]
        legs = [number * ANIMALS[name] for name, number in animals.items()]
        lines += running_totals(" + ".join(str(n) for n in legs))
        key = ", ".join(f"{number} {name}" for name, number in sorted(animals.items()))
        return Problem(self.name, key, question, with_answer("\n".join(lines), entry["answer"]), entry["answer"])


_PLURALS = {"butterfly": "butterflies", "firefly": "fireflies", "praying mantis": "praying mantises", "deer": "deer"}
_PLURALS |= {"sheep": "sheep", "woodlouse": "woodlice", "leech": "leeches", "starfish": "starfish", "shrimp": "shrimp"}
_PLURALS |= {"jellyfish": "jellyfish", "cockroach": "cockroaches"}


def _listed(animals: dict[str, int], rng: Random) -> str:
    """The animals as people list them: "1 dog, 2 butterflies and 3 sheep", or "a dog and two sheep"."""
    say = spelt if rng.random() < NUMBER_WORDS else str
    named = []
    for name, number in animals.items():
        article = "an" if name[0] in "aeiou" else "a"
        one = article if rng.random() < 0.5 else say(1)
        named.append(f"{one} {name}" if number == 1 else f"{say(number)} {_PLURALS.get(name, name + 's')}")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
