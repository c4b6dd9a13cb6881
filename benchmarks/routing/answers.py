"""Answers, not names: right answers of the routed system, on what an adapter was taught and on its topic beyond that.

Six kinds of small arithmetic that `math_reasoning` was never taught, half of each to measure on which kinds it is worth
asking (`RouterEvidence`), the other half to count right answers; beside them the paraphrases of what it was taught.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.engine.engine import Engine
from adaptrix_core.engine.request import SamplingParams
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.evidence_file import RouterEvidence
from benchmarks.routing.comparison import calibrated

ADAPTER = "math_reasoning"
OF_EACH = 16
"""Questions of each kind that was not taught: half to learn from, half to count."""
MOST_TOKENS = 64
LEAST_SURE = 0.5
"""Below this confidence the answer is likelier wrong than right, so the base model's is worth having instead."""


@dataclass(frozen=True)
class Asked:
    """A question with its answer, a number."""

    kind: str
    text: str
    answer: str


KINDS: Mapping[str, Callable[[random.Random], tuple[str, int]]] = {
    "product": lambda r: _product(r.randint(3, 12), r.randint(3, 12)),
    "percentage": lambda r: _percentage(r.choice((10, 20, 25, 50)), 20 * r.randint(1, 12)),
    "unit price": lambda r: _unit_price(r.randint(2, 9), r.randint(2, 12)),
    "rectangle": lambda r: _rectangle(r.randint(2, 12), r.randint(2, 12)),
    "average": lambda r: _average(r.randint(2, 20), r.randint(1, 9)),
    "largest": lambda r: _largest(r.sample(range(10, 99), 4)),
}
"""By name, a question that `math_reasoning` was not taught, and its answer."""


def _product(a: int, b: int) -> tuple[str, int]:
    return f"What is {a} times {b}?", a * b


def _percentage(share: int, of: int) -> tuple[str, int]:
    return f"How much is {share} percent of {of}?", share * of // 100


def _unit_price(count: int, price: int) -> tuple[str, int]:
    return f"{count} apples cost {count * price} euros. What does one apple cost?", price


def _rectangle(a: int, b: int) -> tuple[str, int]:
    return f"What is the area of a rectangle with sides of {a} and {b}?", a * b


def _average(middle: int, step: int) -> tuple[str, int]:
    return f"What is the average of {middle + step} and {middle + 3 * step}?", middle + 2 * step


def _largest(numbers: Sequence[int]) -> tuple[str, int]:
    return f"Which of these numbers is the largest: {', '.join(map(str, numbers))}?", max(numbers)


def untaught() -> tuple[list[Asked], list[Asked]]:
    """(to learn from, to count): the same kinds, other numbers."""
    halves: tuple[list[Asked], list[Asked]] = ([], [])
    for kind, make in KINDS.items():
        chance = random.Random(f"{kind} 1")
        found: dict[str, int] = {}
        while len(found) < OF_EACH:
            text, answer = make(chance)
            found[text] = answer
        for place, (text, number) in enumerate(found.items()):
            halves[place % 2].append(Asked(kind, text, str(number)))
    return halves


def taught() -> list[Asked]:
    """The held-out paraphrases of what the adapter was taught."""
    return [Asked("taught", row.prompt, row.answer) for row in prompts.paraphrases() if row.family == ADAPTER]


def is_right(reply: str, answer: str) -> bool:
    """Whether the last number of the reply is the answer."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", reply.replace(",", ""))
    return bool(numbers) and float(numbers[-1]) == float(answer)


@dataclass(frozen=True)
class Given:
    """An answer that somebody gave."""

    is_right: bool
    confidence: float | None
    """Calibrated; None for the base model, which has no calibration."""


Answers = Mapping[str, Mapping[str, Given]]
"""By who answers, by the question's text."""


def run_answers(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Right answers by kind and answerer, and of four systems: base, by topic, by measured tasks, by confidence."""
    learn, count = untaught()
    count = [*count, *taught()]
    given = {who: _answered([*learn, *count], who) for who in (BASE, ADAPTER)}
    evidence = _measured_tasks(learn, count, given)
    by_topic = calibrated(embedder, cards, {"embedding": 1.0})
    by_tasks = calibrated(embedder, evidence.on(cards), {"tasks": 1.0})
    systems: Mapping[str, Callable[[str], str]] = {
        "base alone": lambda text: BASE,
        "by topic": lambda text: _chosen(by_topic, text),
        "by measured tasks": lambda text: _chosen(by_tasks, text),
        f"by topic, base below {LEAST_SURE}": lambda text: _sure(_chosen(by_topic, text), given, text),
    }
    result: dict[str, object] = {}
    kinds = {
        "taught": [a for a in count if a.kind == "taught"],
        "not taught": [a for a in count if a.kind != "taught"],
    }
    for name, answerer in systems.items():
        told = []
        for of, asked in kinds.items():
            to = [answerer(one.text) for one in asked]
            good = sum(who in given and given[who][one.text].is_right for who, one in zip(to, asked, strict=True))
            told.append(f"{of}: {good}/{len(asked)} right, {to.count(ADAPTER)} answered by {ADAPTER}")
            result[f"{name}, {of}"] = {"right": good, "total": len(asked), "by_adapter": to.count(ADAPTER)}
        print(f"{name:28} " + "; ".join(told))
    return result


def _measured_tasks(learn: Sequence[Asked], count: Sequence[Asked], given: Answers) -> RouterEvidence:
    """What is known of each kind by the questions to learn from. Prints both halves."""
    tasks = []
    for kind in KINDS:
        mine, held = ([asked for asked in half if asked.kind == kind] for half in (learn, count))
        right = {who: [[of[a.text].is_right for a in half] for half in (mine, held)] for who, of in given.items()}
        shares = {who: sum(learnt) / len(learnt) for who, (learnt, _) in right.items()}
        learnt = ", ".join(f"{who} {share:.2f}" for who, share in shares.items())
        counted = ", ".join(f"{who} {sum(held)}/{len(held)}" for who, (_, held) in right.items())
        print(f"{kind:12} to learn from: {learnt}; counted: {counted}")
        tasks.append({"name": kind, "questions": [asked.text for asked in mine], "shares": shares})
    return RouterEvidence.model_validate({"tasks": tasks})


def _chosen(router: SemanticRouter, text: str) -> str:
    return router.decide([{"role": "user", "content": text}]).adapter or BASE


def _sure(chosen: str, given: Answers, text: str) -> str:
    """The base model where the adapter that was chosen is not sure of its answer: `min_confidence`, `fallback` base."""
    confidence = given[chosen][text].confidence if chosen in given else None
    return BASE if confidence is not None and confidence < LEAST_SURE else chosen


def _answered(asked: Sequence[Asked], who: str) -> dict[str, Given]:
    """int4: what the shipped calibrations are of."""
    engine = Engine.from_pretrained("smollm2-135m", precision="int4")
    params = SamplingParams(max_tokens=MOST_TOKENS, temperature=0.0)
    messages = [[{"role": "user", "content": one.text}] for one in asked]
    replies = engine.generate(messages, None if who == BASE else who, params, confidence=who != BASE)
    return {
        one.text: Given(is_right(reply.text, one.answer), reply.confidence)
        for one, reply in zip(asked, replies, strict=True)
    }
