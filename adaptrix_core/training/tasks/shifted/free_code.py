"""Free wordings of short Python functions, each with a function that is right."""

from __future__ import annotations

from random import Random

from adaptrix_core.training.tasks.shifted.wording import FreeWording, Values

_NAMES = (
    "crunch",
    "munge",
    "tweak",
    "refine",
    "shuffle_out",
    "work_on",
    "squash",
    "polish",
    "tally",
    "digest",
    "remix",
)
_FUNCTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "list_pipeline": (
        ("Give me {f}(xs) in Python: throw away everything odd and add up what remains.",
         "sum(x for x in xs if x % 2 == 0)"),
        ("python please: {f}(xs) hands back the list with each entry doubled", "[2 * x for x in xs]"),
        ("I want {f}(xs), a function telling me how many entries of xs exceed {k}.", "sum(x > {k} for x in xs)"),
        ("Write {f}(xs) to return the squares of all positive entries.", "[x * x for x in xs if x > 0]"),
        ("{f}(xs): reversed copy of xs, without the zeros", "[x for x in xs[::-1] if x]"),
        ("How do I write {f}(xs), which gives the total of the absolute values?", "sum(map(abs, xs))"),
        ("function {f}(xs) -> those numbers from xs that {k} divides", "[x for x in xs if x % {k} == 0]"),
        ("Make {f}(xs): lower every entry by {k}, result sorted ascending", "sorted(x - {k} for x in xs)"),
        ("Need {f}(xs) for counting negatives", "sum(x < 0 for x in xs)"),
        ("Define {f}(xs), it should return only what is smaller than {k}", "[x for x in xs if x < {k}]"),
        ("code {f}(xs) so that it sums up {k} times each element", "sum({k} * x for x in xs)"),
    ),
    "text_steps": (
        ("{f}(s) should shout: every letter big", "s.upper()"),
        ("Write {f}(s) that gets rid of blanks in s", 's.replace(" ", "")'),
        ("I need {f}(s): s backwards, in lowercase", "s[::-1].lower()"),
        ("{f}(s): number of words in s, in python", "len(s.split())"),
        ("Code {f}(s) which keeps just its opening {k} characters", "s[:{k}]"),
        ("please define {f}(s), it returns s glued to itself {k} times", "s * {k}"),
        ("python function {f}(s) -> number of a's in s", 's.count("a")'),
        ("Trim it with {f}(s): cut white space at both sides, then dashes instead of the inner spaces",
         's.strip().replace(" ", "-")'),
        ("A function {f}(s) that tells whether s reads the same in both directions", "s == s[::-1]"),
        ("python: {f}(s) drops all digits from s and returns the length of the rest",
         "len([c for c in s if not c.isdigit()])"),
    ),
    "two_numbers": (
        ("{f}(a, b) in Python: whichever is bigger", "max(a, b)"),
        ("Write {f}(a, b), the gap between the two numbers, never negative", "abs(a - b)"),
        ("I need {f}(a, b) returning a squared plus b", "a ** 2 + b"),
        ("python {f}(a, b) says True exactly if both are even", "a % 2 == 0 and b % 2 == 0"),
        ("define {f}(a, b): add them, then times {k}", "(a + b) * {k}"),
        ("function {f}(a, b) giving b when a is below zero, otherwise a", "b if a < 0 else a"),
        ("Halfway point of two numbers as a Python function {f}(a, b)", "(a + b) / 2"),
        ("Write {f}(a, b): subtract the first from the second", "b - a"),
        ("Please do {f}(a, b) in python, multiply unless they are the same; in that case zero",
         "0 if a == b else a * b"),
    ),
    "two_formulas": (
        ("{f}(n) in python: triple it", "3 * n"),
        ("Write {f}(n) telling me if n is odd", "n % 2 == 1"),
        ("I'd like {f}(n), n raised to the third power, in Python", "n ** 3"),
        ("python function {f}(n) adds {k} to even numbers and leaves odd ones alone", "n + {k} if n % 2 == 0 else n"),
        ("define {f}(n): its sign flipped", "-n"),
        ("python {f}(n) -> 1 for positives, -1 for negatives, 0 for zero", "(n > 0) - (n < 0)"),
        ("Write {f}(n), which is n minus {k}, but at least 0", "max(0, n - {k})"),
        ("Code {f}(n): True if {k} divides n with nothing left", "n % {k} == 0"),
        ("A function {f}(n): twice n when n is under {k}, else n", "2 * n if n < {k} else n"),
    ),
}  # fmt: skip


def code_wordings() -> tuple[FreeWording, ...]:
    """All of them."""
    return tuple(
        _asked(f"{task} {number}", task, text, value)
        for task, asked in _FUNCTIONS.items()
        for number, (text, value) in enumerate(asked)
    )


def _asked(name: str, task: str, text: str, value: str) -> FreeWording:
    parameters = text[text.index("{f}(") + 4 :].partition(")")[0]

    def answer(values: Values) -> str:
        return f"def {values['f']}({parameters}):\n    return {value.replace('{k}', str(values['k']))}"

    return FreeWording(name, task, text, _draw, answer)


def _draw(rng: Random) -> Values:
    return {"f": rng.choice(_NAMES), "k": rng.randint(2, 9)}
