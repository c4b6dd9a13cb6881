"""Free wordings of arithmetic: sums, equations and legs, in words that no training problem has."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from adaptrix_core.training.tasks.shifted.wording import FreeWording, Values

_SUMS: tuple[tuple[str, Callable[[int, int, int], int]], ...] = (
    ("I had {a} euros, paid {b} for lunch and found {c} on the street. What is in my wallet?",
     lambda a, b, c: a - b + c),
    ("The tank held {a} litres. {b} leaked out overnight, and {c} more this morning. What is left?",
     lambda a, b, c: a - b - c),
    ("Our library owns {a} novels. It buys {b}, and then {c} get lost. How big is the collection?",
     lambda a, b, c: a + b - c),
    ("yo whats {a} and {b} and {c} all together", lambda a, b, c: a + b + c),
    ("Take {b} off {a}, then take another {c} off. Result?", lambda a, b, c: a - b - c),
    ("My daughter collected {a} shells on Monday, {b} on Tuesday and dropped {c} on the way home. Her shells now?",
     lambda a, b, c: a + b - c),
    ("The elevator is on floor {a}, goes down {b} floors and up {c}. Where is it?", lambda a, b, c: a - b + c),
    ("sum of {a}, {b} & {c}, and please be quick", lambda a, b, c: a + b + c),
    ("If it is {a} degrees and the temperature falls by {b} and later rises by {c}, what does the thermometer say?",
     lambda a, b, c: a - b + c),
    ("We were {a} at the party; {b} left early but {c} friends joined late. Number of guests in the end?",
     lambda a, b, c: a - b + c),
    ("{a} increased by {b} and reduced by {c} makes what?", lambda a, b, c: a + b - c),
    ("Somebody owes me {a} dollars. He gives back {b} and borrows {c} again. His debt?", lambda a, b, c: a - b + c),
    ("Please total up these receipts for me: {a}, {b}, {c}.", lambda a, b, c: a + b + c),
    ("A train carries {a} people. At the first stop {b} climb aboard, at the second one {c} leave. People aboard?",
     lambda a, b, c: a + b - c),
)  # fmt: skip
_EQUATIONS: tuple[tuple[str, Callable[[int, int, int], int]], ...] = (
    ("{k} equal bags and a {o} kg box weigh {t} kg in total. The weight of a single bag?", lambda x, k, o: k * x + o),
    ("{k} tickets plus {o} dollars for snacks came to {t} dollars. Price of a ticket?", lambda x, k, o: k * x + o),
    ("Which number, taken {k} times and lowered by {o}, comes out at {t}?", lambda x, k, o: k * x - o),
    ("Find z if {k}z + {o} is the same as {t}", lambda x, k, o: k * x + o),
    ("{k}*m - {o} should be {t}. m = ?", lambda x, k, o: k * x - o),
    ("A taxi costs {o} euros plus {k} euros per kilometre. I paid {t}. How far did I ride?", lambda x, k, o: k * x + o),
    ("Adding {o} to {k} times my age gives {t}. How old am I?", lambda x, k, o: k * x + o),
    ("If you multiply the secret number by {k} you get {o} less than {t}. What is the secret number?",
     lambda x, k, o: k * x + o),
    ("Let {k}b + {o} = {t}. Give me b, nothing else.", lambda x, k, o: k * x + o),
    ("Each of {k} shelves holds equally many books, {o} lie on the floor, {t} books altogether. Books per shelf?",
     lambda x, k, o: k * x + o),
    ("p has to satisfy {t} = {k}p + {o}. Value of p?", lambda x, k, o: k * x + o),
    ("{k} kids shared sweets evenly, {o} were left over from {t}. How many did each kid get?",
     lambda x, k, o: k * x + o),
)  # fmt: skip
_LEGS: tuple[str, ...] = (
    "{m} {x} and {n} {y} are on the meadow. Legs, all in all?",
    "In the barn I count {m} {x}, {n} {y} and nothing else. How many feet touch the ground?",
    "our zoo just got {m} {x} plus {n} {y}, number of legs pls",
    "Suppose every leg of {m} {x} and {n} {y} needs a sock. How many socks do I buy?",
    "A photo shows {m} {x} next to {n} {y}. Tell me the sum of their legs.",
    "How many legs would {m} {x} have between them?",
    "{m} {x} crawl past me. Leg count?",
    "What's the leg total for a group of {m} {x} together with {n} {y}?",
    "{n} {y} chase {m} {x}. On how many legs are they running?",
    "A child draws {m} {x} and then {n} {y}. How many legs did the child have to draw?",
)
_KINDS = {
    "dogs": 4, "cats": 4, "cows": 4, "horses": 4, "lions": 4, "sheep": 4, "ducks": 2, "chickens": 2, "bees": 6,
    "ants": 6, "beetles": 6, "spiders": 8, "crabs": 10,
}  # fmt: skip


def math_wordings() -> tuple[FreeWording, ...]:
    """All of them."""
    return (
        *(_sum(number, text, result) for number, (text, result) in enumerate(_SUMS)),
        *(_equation(number, text, total) for number, (text, total) in enumerate(_EQUATIONS)),
        *(_legs(number, text) for number, text in enumerate(_LEGS)),
    )


def _sum(number: int, text: str, result: Callable[[int, int, int], int]) -> FreeWording:
    def draw(rng: Random) -> Values:
        return {"a": rng.randint(40, 95), "b": rng.randint(5, 29), "c": rng.randint(3, 35)}

    def answer(values: Values) -> str:
        return str(result(values["a"], values["b"], values["c"]))

    return FreeWording(f"sum {number}", "chain_sum", text, draw, answer)


def _equation(number: int, text: str, total: Callable[[int, int, int], int]) -> FreeWording:
    def draw(rng: Random) -> Values:
        x, k, o = rng.randint(2, 10), rng.randint(2, 9), rng.randint(1, 10)
        return {"x": x, "k": k, "o": o, "t": total(x, k, o)}

    return FreeWording(f"equation {number}", "simple_equations", text, draw, lambda values: str(values["x"]))


def _legs(number: int, text: str) -> FreeWording:
    def draw(rng: Random) -> Values:
        x, y = rng.sample(sorted(_KINDS), 2)
        return {"m": rng.randint(2, 6), "n": rng.randint(2, 6), "x": x, "y": y}

    def answer(values: Values) -> str:
        legs = values["m"] * _KINDS[values["x"]]
        return str(legs + (values["n"] * _KINDS[values["y"]] if "{y}" in text else 0))

    return FreeWording(f"legs {number}", "leg_counting", text, draw, answer)
