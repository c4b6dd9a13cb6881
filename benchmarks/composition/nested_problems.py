"""Questions inside of which another one is nested: "Add 5 to the number of legs that 3 dogs have.".

Wordings are `two_step_wordings.py`'s. Equal seeds give equal questions.
"""

from __future__ import annotations

from random import Random

from benchmarks.composition import two_step_wordings as wordings
from benchmarks.composition.two_step_problems import Half

_NAMES = ("Lea", "Nora", "Ida", "Mia", "Ella", "Greta")
_ANIMALS = ("dogs", "cows", "horses", "ducks", "spiders", "cats", "ants", "sheep")
_COUNTS_OF_LEGS = (
    "the number of legs that {animals} have",
    "how many legs {animals} have",
    "the number of legs on {animals}",
    "the total number of legs {animals} have",
)
_COUNTS_OF_SIBLINGS = ("the number of brothers that {name}'s sister has", "how many sisters {name}'s brother has")


def nested_questions(count: int, seed: int, half: Half) -> list[str]:
    """``count`` questions of two steps, with wordings of one half, by turns of the kinds."""
    rng = Random(seed)
    makers = (_legs_in_a_sum, _siblings_in_a_sum, _legs_in_facts)
    return [makers[number % len(makers)](rng, half) for number in range(count)]


def _legs_in_a_sum(rng: Random, half: Half) -> str:
    counted = rng.choice(_COUNTS_OF_LEGS).format(animals=_some(rng))
    return rng.choice(half(wordings.NESTED_IN_A_SUM)).format(before="", count=counted, k=rng.randint(2, 40))


def _siblings_in_a_sum(rng: Random, half: Half) -> str:
    name = rng.choice(_NAMES)
    facts = f"{name} has {rng.randint(2, 6)} brothers and {rng.randint(2, 6)} sisters. "
    counted = rng.choice(_COUNTS_OF_SIBLINGS).format(name=name)
    return rng.choice(half(wordings.NESTED_IN_A_SUM)).format(before=facts, count=counted, k=rng.randint(2, 40))


def _legs_in_facts(rng: Random, half: Half) -> str:
    wording = rng.choice(half(wordings.NESTED_IN_FACTS))
    return wording.format(name=rng.choice(_NAMES), b=rng.randint(2, 6), animals=_some(rng))


def _some(rng: Random) -> str:
    return f"{rng.randint(2, 9)} {rng.choice(_ANIMALS)}"
