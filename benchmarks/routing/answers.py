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
from adaptrix_core.places import shipped_adapters
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


def run_answers(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Right answers by kind and answerer, and of three systems: base, routed by topic, routed by measured tasks."""
    learn, count = untaught()
    count = [*count, *taught()]
    right = {who: _marked([*learn, *count], who) for who in (BASE, ADAPTER)}
    tasks = []
    for kind in KINDS:
        mine = [asked for asked in learn if asked.kind == kind]
        shares = {who: sum(right[who][asked.text] for asked in mine) / len(mine) for who in right}
        held = [asked for asked in count if asked.kind == kind]
        counted = ", ".join(f"{who} {sum(right[who][asked.text] for asked in held)}/{len(held)}" for who in right)
        learnt = ", ".join(f"{who} {share:.2f}" for who, share in shares.items())
        print(f"{kind:12} to learn from: {learnt}; counted: {counted}")
        tasks.append({"name": kind, "questions": [asked.text for asked in mine], "shares": shares})
    evidence = RouterEvidence.model_validate({"tasks": tasks})
    by_topic = calibrated(embedder, cards, {"embedding": 1.0})
    by_tasks = calibrated(embedder, evidence.on(cards), {"tasks": 1.0})
    result: dict[str, object] = {}
    for name, router in {"base alone": None, "by topic": by_topic, "by measured tasks": by_tasks}.items():
        kinds = {
            "taught": [a for a in count if a.kind == "taught"],
            "not taught": [a for a in count if a.kind != "taught"],
        }
        told = []
        for of, asked in kinds.items():
            to = [_who(router, one.text) for one in asked]
            good = sum(right[who].get(one.text, False) for who, one in zip(to, asked, strict=True) if who in right)
            told.append(f"{of}: {good}/{len(asked)} right, {to.count(ADAPTER)} to {ADAPTER}")
            result[f"{name}, {of}"] = {"right": good, "total": len(asked), "to_adapter": to.count(ADAPTER)}
        print(f"{name:18} " + "; ".join(told))
    return result


def _who(router: SemanticRouter | None, text: str) -> str:
    return BASE if router is None else router.decide([{"role": "user", "content": text}]).adapter or BASE


def _marked(asked: Sequence[Asked], who: str) -> dict[str, bool]:
    engine = Engine.from_pretrained("smollm2-135m", adapters_dir=shipped_adapters(), trust="off")
    params = SamplingParams(max_tokens=MOST_TOKENS, temperature=0.0)
    messages = [[{"role": "user", "content": one.text}] for one in asked]
    replies = engine.generate(messages, None if who == BASE else who, params)
    return {one.text: is_right(reply.text, one.answer) for one, reply in zip(asked, replies, strict=True)}
