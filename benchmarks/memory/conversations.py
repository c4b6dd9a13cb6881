"""Generated conversations with a fact, sixty turns of other topics, and a question for the fact."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrix_core.context.memory.exchanges import Exchanges, in_exchanges
from adaptrix_core.routing import prompts

FACTS = Path(__file__).with_name("facts.jsonl")

TURNS_BETWEEN = 60
"""Turns between the fact and the question for it."""
TURNS_BEFORE = 3
"""Turns before the fact."""
SEED = 13
"""Seed of the conversations that results are told of; the bars of the memory were chosen on others."""
OTHER_FACTS = 6
"""Turns between them that tell other facts, which a question might be taken to ask for."""

REMARKS = (
    "It depends on what you would like to achieve, so let us look at the possibilities one by one.",
    "Most people begin with the simplest version and change one thing at a time.",
    "There are a few things to keep in mind, and none of them is difficult.",
    "A good rule is to write everything down first and to sort it afterwards.",
    "In short: take your time, check the result, and ask again if something is unclear.",
    "Many books say something different, but in practice both ways lead to the same end.",
    "That is a popular question, and the usual answer is shorter than one would expect.",
    "If you tell me more about the details, I can give a more precise answer.",
    "Here is a first draft that you can use as it is or adapt to your own style.",
    "It has a long history, and it changed a lot during the last hundred years.",
)
"""What the answers between are made of: they are read by nobody, and have the length of answers."""


@dataclass(frozen=True)
class FactConversation:
    """A conversation that ends in a question for a fact."""

    pairs: tuple[tuple[str, str], ...]
    """Questions and answers, in order."""
    fact: int
    """Number of the pair that tells it."""
    asked: str
    """A question for it in the words in which it was told."""
    reworded: str
    """A question for it in other words."""
    value: str
    """What a right answer contains."""

    def asked_in_the_end(self, question: str) -> Exchanges:
        """The whole conversation with one of the questions at its end."""
        said = [(role, text) for pair in self.pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
        return in_exchanges([{"role": role, "content": text} for role, text in [*said, ("user", question)]])

    def is_told_in(self, text: str) -> bool:
        """Whether a text contains the fact."""
        return self.value.casefold() in text.casefold()


def conversations(
    count: int, turns_between: int = TURNS_BETWEEN, seed: int = SEED, start: int = 0
) -> Iterator[FactConversation]:
    """``count`` of them from the number ``start`` on, the same ones for the same seed."""
    kinds = [json.loads(line) for line in FACTS.read_text().splitlines()]
    others = [*prompts.out_of_scope("test"), *prompts.out_of_scope("calibration"), *prompts.background()]
    problems = [(problem.prompt, problem.answer) for problem in prompts.paraphrases() if problem.function is None]
    for number in range(start, start + count):
        rng = random.Random(f"{seed}-{number}")
        facts = rng.sample(kinds, 1 + OTHER_FACTS)
        between: list[tuple[str, str]] = [_told(rng, kind)[:2] for kind in facts[1:]]
        num_problems = turns_between // 5
        between += rng.sample(problems, num_problems)
        length = turns_between + TURNS_BEFORE - len(between)
        between += [
            (question, " ".join(rng.sample(REMARKS, rng.randint(1, 4)))) for question in rng.sample(others, length)
        ]
        rng.shuffle(between)
        question, answer, value = _told(rng, facts[0])
        pairs = (*between[:TURNS_BEFORE], (question, answer), *between[TURNS_BEFORE:])
        yield FactConversation(pairs, TURNS_BEFORE, facts[0]["asked"], facts[0]["reworded"], value)


def _told(rng: random.Random, kind: dict[str, Any]) -> tuple[str, str, str]:
    value = str(rng.choice(kind["values"]))
    return kind["told"].format(value), "Thank you for telling me. I will keep it in mind.", value
