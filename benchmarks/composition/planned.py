"""Two-step questions: a plan, the adapters one after another, against every way of answering in one go.

    python -m benchmarks.composition.planned --problems 100 --replies runs/two_steps.jsonl

Wordings are those that the planner's rules were not written against. Conditions: the base with the answer format in
words, each adapter alone, the two adapters of the problem mixed half and half, the planner's steps answered by the
problem's adapters (*planned*) or by the router's choice (*planned, routed*), and an oracle's steps. *Single accuracies*
are those of each step asked alone, the second with the true first answer; their product is what two independent steps
would reach. Ends with one line of JSON; every share has its standard error.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from adaptrix_core.composition.planning.plan import Plan
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.composition.questions import filled
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.calibration import load_calibration
from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import PACKAGED, TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.training.evaluation.evaluate import chooser, generator_of
from adaptrix_core.training.evaluation.prompting import Messages
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.composition import two_step_wordings as wordings
from benchmarks.composition.two_step_problems import TwoStepProblem, marked, two_step_problems

INSTRUCTION = 'Work it out step by step, briefly, and finish with a line "Answer: <number>".'
MAX_TOKENS = 128
Choose = Callable[[Messages], str | None]


@dataclass(frozen=True)
class Share:
    """Right answers of a condition, by problem."""

    right: tuple[bool, ...]

    @property
    def share(self) -> float:
        """Right answers per problem."""
        return sum(self.right) / len(self.right)

    @property
    def error(self) -> float:
        """Standard error of the share."""
        return math.sqrt(self.share * (1 - self.share) / len(self.right))


def main() -> None:
    """Run all conditions, print a table by kind of problem and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wordings", choices=("kept aside", "worked on"), default="kept aside")
    parser.add_argument("--replies", type=Path, help="file that keeps replies, so that a run can be continued")
    given = parser.parse_args()
    half = wordings.kept_aside if given.wordings == "kept aside" else wordings.worked_on
    problems = two_step_problems(given.problems, given.seed, half)
    engine = Engine.from_pretrained()
    generator = Replies(engine, given.replies)
    results = _measured(problems, generator, _router())
    _print(problems, results)
    print(json.dumps(_document(given.wordings, problems, results)))


class Replies:
    """Greedy replies of one engine: those of adapters are remembered in a file, those of mixes are not."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self._engine, self._generator = engine, generator_of(engine, file)

    def reply(self, questions: Sequence[str], adapter: str | None) -> list[str]:
        """One reply to each question, under an adapter or the base."""
        return self._generator.reply([[{"role": "user", "content": q}] for q in questions], adapter, MAX_TOKENS)

    def mixed(self, question: str, adapters: Sequence[str]) -> str:
        """The reply of adapters mixed in equal shares."""
        mix = dict.fromkeys(adapters, 1 / len(set(adapters)))
        params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
        return self._engine.generate([[{"role": "user", "content": question}]], mix, params)[0].text


def _router() -> Choose:
    adapters = shipped_adapters()
    cards = tuple(card for card in cards_in(adapters) if card.name in FAMILIES)
    return chooser(SemanticRouter(TextEmbedder(PACKAGED), cards, load_calibration(adapters / "routing.json")))


def _measured(problems: Sequence[TwoStepProblem], generator: Replies, choose: Choose) -> dict[str, Share]:
    questions = [p.question for p in problems]
    console = Console(stderr=True)
    results: dict[str, Share] = {}

    def record(condition: str, replies: Sequence[str]) -> None:
        results[condition] = Share(tuple(marked(problems, replies)))
        console.print(f"{condition}: {results[condition].share:.2f}", highlight=False)

    record("base", generator.reply([f"{q}\n{INSTRUCTION}" for q in questions], None))
    for adapter in FAMILIES:
        record(adapter, generator.reply(questions, adapter))
    record("static mix", [generator.mixed(p.question, p.adapters) for p in problems])
    plans = [plan_of(q) for q in questions]
    divided = [plan is not None and len(plan.steps) == 2 for plan in plans]
    results["divided into two"] = Share(tuple(divided))
    usual = [plan or Plan((p.question,)) for p, plan in zip(problems, plans, strict=True)]
    own = [p.adapters for p in problems]
    record("planned", in_turn(generator, usual, lambda i, number, _: own[i][min(number, 1)]))
    routed = in_turn(generator, usual, lambda i, number, q: choose([{"role": "user", "content": q}]))
    record("planned, routed", routed)
    record("oracle's plan", in_turn(generator, [p.plan for p in problems], lambda i, number, _: own[i][number]))
    first = _by_adapter(generator, [p.first.question for p in problems], [a for a, _ in own])
    tasks = {task.name: task for family in FAMILIES.values() for task in family.tasks}
    firsts = [tasks[p.first.task].score([p.first], [said])[0] for p, said in zip(problems, first, strict=True)]
    results["first step alone"] = Share(tuple(firsts))
    record("second step alone", _by_adapter(generator, [p.second.question for p in problems], [b for _, b in own]))
    return results


def in_turn(generator: Replies, plans: Sequence[Plan], who: Callable[[int, int, str], str | None]) -> list[str]:
    """The last reply of each plan; ``who(problem, step, question)`` answers a step."""
    texts: list[list[str]] = [[] for _ in plans]
    replies = [""] * len(plans)
    for number in range(max(len(plan.steps) for plan in plans)):
        asked = [i for i, plan in enumerate(plans) if number < len(plan.steps)]
        questions = [filled(plans[i].steps[number], texts[i]) for i in asked]
        said = _by_adapter(generator, questions, [who(i, number, q) for i, q in zip(asked, questions, strict=True)])
        for i, reply in zip(asked, said, strict=True):
            replies[i] = reply
            texts[i].append(reply)
    return replies


def _by_adapter(generator: Replies, questions: Sequence[str], adapters: Sequence[str | None]) -> list[str]:
    replies = [""] * len(questions)
    for adapter in sorted(set(adapters), key=str):
        places = [i for i, name in enumerate(adapters) if name == adapter]
        for place, reply in zip(places, generator.reply([questions[i] for i in places], adapter), strict=True):
            replies[place] = reply
    return replies


def _print(problems: Sequence[TwoStepProblem], results: dict[str, Share]) -> None:
    kinds = list(dict.fromkeys(p.kind for p in problems))
    print(f"{'':28}" + "".join(f"{kind:>28}" for kind in kinds) + f"{'all':>16}")
    for condition, share in results.items():
        cells = []
        for kind in kinds:
            rights = [right for right, p in zip(share.right, problems, strict=True) if p.kind == kind]
            cells.append(f"{sum(rights)} of {len(rights)}")
        print(
            f"{condition:28}" + "".join(f"{cell:>28}" for cell in cells) + f"   {share.share:.2f} ± {share.error:.2f}"
        )


def _document(which: str, problems: Sequence[TwoStepProblem], results: dict[str, Share]) -> dict[str, object]:
    product = results["first step alone"].share * results["second step alone"].share
    best = max((results[name] for name in FAMILIES), key=lambda share: share.share)
    planned = results["planned"]
    gain = [float(a) - float(b) for a, b in zip(planned.right, best.right, strict=True)]
    mean = sum(gain) / len(gain)
    error = math.sqrt(sum((g - mean) ** 2 for g in gain)) / len(gain)
    return {
        "benchmark": "composition planned",
        "wordings": which,
        "problems": len(problems),
        "shares": {name: [round(s.share, 4), round(s.error, 4)] for name, s in results.items()},
        "product_of_single_accuracies": round(product, 4),
        "planned_by_product": round(planned.share / product, 4) if product else None,
        "over_best_single": [round(mean, 4), round(error, 4)],
    }


if __name__ == "__main__":
    main()
