"""Could the base model itself divide questions? Its plans, held to a grammar, against the planner's rules.

    python -m benchmarks.composition.base_planner --problems 50 --replies runs/two_steps.jsonl

The base model sees four solved examples and writes either "one step" or two numbered questions, the second with a place
for the first answer; a grammar leaves it no other form. Measured: how many two-step problems it divides and single
questions it leaves alone, and how many answers are right when its plans are followed. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import llguidance

from adaptrix_core.composition.planning.plan import Plan
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.composition import two_step_wordings as wordings
from benchmarks.composition.planned import Replies, Share, in_turn
from benchmarks.composition.two_step_problems import marked, two_step_problems

FORM = r"one step|1\. [^\n{}]{5,200}\n2\. [^\n{}]{0,120}\{0\}[^\n{}]{0,120}"
SOLVED = (
    ("First work out 7 + 5, then add 3 to the result.", "1. What is 7 + 5?\n2. What is {0} + 3?"),
    ("Start with 40, add 7, subtract 3. What is the result?", "one step"),
    (
        "How many legs do 3 dogs have? Now, Ann has that many sisters and a brother. How many sisters does he have?",
        "1. How many legs do 3 dogs have?\n2. Ann has {0} sisters and a brother. How many sisters does he have?",
    ),
    ("All cats are animals. Some animals are black. Does it follow that some cats are black?", "one step"),
)
ASKED = "Divide this into two steps, or write: one step.\n"
BATCH = 16


def main() -> None:
    """Divide by the base and by the rules, follow both plans, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--replies", type=Path, help="file that keeps replies, so that a run can be continued")
    given = parser.parse_args()
    problems = two_step_problems(given.problems, 1, wordings.kept_aside)
    each = -(-given.problems // len(FAMILIES))
    singles = [p.question for family in FAMILIES.values() for p in family.held_out(each)][: given.problems]
    engine = Engine.from_pretrained()
    replies = Replies(engine, given.replies)
    shares: dict[str, Share] = {}
    questions = [p.question for p in problems]
    for name, compound, single in (
        ("base", base_plans(engine, questions), base_plans(engine, singles)),
        ("rules", [plan_of(q) for q in questions], [plan_of(q) for q in singles]),
    ):
        shares[f"{name}: two steps divided"] = Share(tuple(plan is not None for plan in compound))
        shares[f"{name}: single ones left alone"] = Share(tuple(plan is None for plan in single))
        usual = [plan or Plan((p.question,)) for p, plan in zip(problems, compound, strict=True)]
        said = in_turn(replies, usual, lambda i, number, _: problems[i].adapters[min(number, 1)])
        shares[f"{name}: right answers"] = Share(tuple(marked(problems, said)))
    for condition, share in shares.items():
        print(f"{condition:34} {share.share:.2f} ± {share.error:.2f}  of {len(share.right)}")
    figures = {name: [round(share.share, 4), round(share.error, 4)] for name, share in shares.items()}
    print(json.dumps({"benchmark": "composition base_planner", "problems": given.problems, "shares": figures}))


def base_plans(engine: Engine, questions: Sequence[str]) -> list[Plan | None]:
    """The base model's plan for each question; None where it writes "one step"."""
    grammar = str(llguidance.grammar_from("regex", FORM))
    params = SamplingParams(max_tokens=160, temperature=0.0, grammar=grammar)
    plans: list[Plan | None] = []
    for start in range(0, len(questions), BATCH):
        asked = [_prompt(question) for question in questions[start : start + BATCH]]
        plans += [_read(completion.text) for completion in engine.generate(asked, None, params)]
    return plans


def _prompt(question: str) -> list[dict[str, str]]:
    messages = []
    for solved, plan in SOLVED:
        messages += [{"role": "user", "content": ASKED + solved}, {"role": "assistant", "content": plan}]
    return [*messages, {"role": "user", "content": ASKED + question}]


def _read(text: str) -> Plan | None:
    first, _, second = text.partition("\n")
    return Plan((first.removeprefix("1. "), second.removeprefix("2. "))) if second else None


if __name__ == "__main__":
    main()
