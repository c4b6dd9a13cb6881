"""What holding answers back does to how many are given and how many of these are right, by policy and threshold.

    python -m benchmarks.confidence.policies --answers runs/confidence

An adapter's answers to held-out and freely worded problems of its family, kept in the directory, so that a run that was
cut off goes on. Policies: none but the threshold (`abstain`), and for each fallback one in which it answers where the
first answer is below the threshold; it is asked only there. Confidences of the adapter are foretold by calibrations
that have not seen the question; answers of the base model and of other adapters are given as they are.

On some of the problems also how well it tells right answers that the base model, another adapter and a mix of the two
adapters answer the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.confidence.evidence import FurtherEvidence
from adaptrix_core.confidence.fallbacks import AGAIN
from adaptrix_core.confidence.scoring import answer_scores
from adaptrix_core.engine import Engine
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.training.calibration.answers import MarkedAnswer, collect
from adaptrix_core.training.calibration.calibrate import scored
from adaptrix_core.training.calibration.fitting import Fit, fit
from adaptrix_core.training.calibration.measures import auroc, bootstrap_error
from adaptrix_core.training.calibration.policies import PolicyAnswers, outcome_at
from adaptrix_core.training.calibration.questions import QuestionSet, family_questions

MAX_TOKENS = 160
ESTIMATOR = "logprob_sum"
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.85)
_DRAWS = 400


def main() -> None:
    """Collect, compare, print; end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, default=Path("runs/confidence"))
    parser.add_argument("--family", default="math_reasoning", help="the adapter that answers, and its problems")
    parser.add_argument("--fallback", nargs="*", default=[AGAIN, BASE, "logical_reasoning"])
    parser.add_argument("--other", default="logical_reasoning", help="the other adapter whose answers are compared")
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--free", type=int, default=100)
    parser.add_argument("--compared", type=int, default=120, help="problems on which answers are compared")
    given = parser.parse_args()
    engine = Engine.from_pretrained()
    asked = family_questions(given.family, given.held_out, 0, given.free)
    collected = Collected(engine, given.answers / f"{given.family}-{engine.base.layout}.jsonl")
    first = collected.answers(given.family, asked)
    fitted = fit_of(first)
    unsure = np.flatnonzero(fitted.foretold < max(THRESHOLDS)).tolist()
    further = {name: collected.fallback(name, given.family, part_of_set(asked, unsure)) for name in given.fallback}
    curves = policy_curves(first, fitted, unsure, further)
    _show(given.family, curves)
    every = np.linspace(0, len(first), given.compared, endpoint=False).astype(int).tolist()
    agreement = {}
    if every:
        mix = {given.family: 0.7, given.other: 0.3}
        choices: dict[str, AdapterChoice] = {BASE: None, given.other: given.other, "mix": mix}
        said = {name: collected.answers(choice, part_of_set(asked, every)) for name, choice in choices.items()}
        agreement = agreement_figures([first[number] for number in every], said)
    for name, row in agreement.items():
        print(f"others_agree, {name}: AUROC {row['auroc']:.3f} ({row['auroc_se']:.3f}), agree {row['agree']:.2f}")
    found = {"answers": len(first), "curves": curves, "others_agree": agreement}
    print(json.dumps({"benchmark": "confidence-policies", "layout": engine.base.layout, **found}))


@dataclass(frozen=True)
class Collected:
    """Answers of an engine, kept in a file."""

    engine: Engine
    path: Path

    def answers(self, choice: AdapterChoice, asked: QuestionSet, sampled: int | None = None) -> list[MarkedAnswer]:
        """To all of these questions, with progress."""
        with Console(stderr=True).status("") as status:

            def told(done: int, total: int) -> None:
                status.update(f"{choice or BASE}{'' if sampled is None else ' again'}: {done} of {total}")

            return collect(self.engine, choice, asked, MAX_TOKENS, self.path, told, sampled=sampled)

    def fallback(self, name: str, first: str, asked: QuestionSet) -> list[MarkedAnswer]:
        """What a fallback says where ``first`` was asked before."""
        if name == AGAIN:
            return self.answers(first, asked, sampled=1)
        return self.answers(None if name == BASE else name, asked)


def part_of_set(asked: QuestionSet, numbers: Sequence[int]) -> QuestionSet:
    """These questions of a set."""

    def mark(places: Sequence[int], answers: Sequence[str]) -> Sequence[bool]:
        return asked.mark([numbers[place] for place in places], answers)

    return QuestionSet([asked.questions[number] for number in numbers], mark, asked.described)


def fit_of(first: Sequence[MarkedAnswer]) -> Fit:
    """Confidences of answers, each foretold by curves that have not seen its question."""
    return fit(*scored(first, ESTIMATOR), [answer.group for answer in first])


def policy_curves(
    first: Sequence[MarkedAnswer], fitted: Fit, unsure: Sequence[int], fallbacks: Mapping[str, Sequence[MarkedAnswer]]
) -> dict[str, list[dict[str, float]]]:
    """By policy, what is given at each threshold, and the standard error of how much of it is right.

    unsure: the numbers of the questions that fallbacks have answered, all that any threshold holds back.
    """
    asked = PolicyAnswers(np.array([answer.right for answer in first], dtype=bool), fitted.foretold)
    after = {name: _fallback(name, found, fitted, unsure) for name, found in fallbacks.items()}
    return {"abstain": _curve([asked])} | {name: _curve([asked, one]) for name, one in after.items()}


def _fallback(name: str, answers: Sequence[MarkedAnswer], fitted: Fit, unsure: Sequence[int]) -> PolicyAnswers:
    scores, marks = np.full(len(fitted.foretold), -np.inf), np.zeros(len(fitted.foretold), dtype=bool)
    scores[unsure], marks[unsure] = scored(answers, ESTIMATOR)
    return PolicyAnswers(marks, fitted.foretell(scores) if name == AGAIN else None)


def _curve(asked: Sequence[PolicyAnswers]) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    count = len(asked[0].right)
    draws = [rng.integers(0, count, count) for _ in range(_DRAWS)]
    rows = []
    for threshold in THRESHOLDS:
        coverage, accuracy = outcome_at(threshold, asked)
        drawn = [outcome_at(threshold, [_some(one, places) for one in asked])[1] for places in draws]
        error = float(np.std(drawn, ddof=1))
        rows.append(
            {"threshold": threshold, "coverage": round(coverage, 4), "accuracy": round(accuracy, 4)}
            | {"accuracy_se": round(error, 4)}
        )
    return rows


def _some(answers: PolicyAnswers, places: np.typing.NDArray[np.int64]) -> PolicyAnswers:
    confidence = None if answers.confidence is None else answers.confidence[places]
    return PolicyAnswers(answers.right[places], confidence)


def agreement_figures(
    first: Sequence[MarkedAnswer], others: Mapping[str, Sequence[MarkedAnswer]]
) -> dict[str, dict[str, float]]:
    """By who is asked too, and all of them together, how well it tells right answers that theirs are the same."""
    right = np.array([answer.right for answer in first], dtype=bool)
    texts = {name: [(answer.text,) for answer in found] for name, found in others.items()}
    texts["all"] = [tuple(text for (text,) in said) for said in zip(*texts.values(), strict=True)]
    figures = {}
    for name, said in texts.items():
        scores = np.array([_agreement(answer, told) for answer, told in zip(first, said, strict=True)])
        figures[name] = {
            "answers": float(len(first)),
            "auroc": round(auroc(scores, right), 4),
            "auroc_se": round(bootstrap_error(auroc, scores, right), 4),
            "agree": round(float(scores.mean()), 4),
        }
    return figures


def _agreement(answer: MarkedAnswer, others: tuple[str, ...]) -> float:
    evidence = replace(answer.evidence, further=FurtherEvidence(other_answers=others))
    return answer_scores(["others_agree"], evidence)["others_agree"]


def _show(family: str, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    table = Table(title=f"{family}: answers given, and of these right (SE)")
    for head in ("threshold", *curves):
        table.add_column(head)
    for place, threshold in enumerate(THRESHOLDS):
        cells = [
            f"{row['coverage']:.0%}, {row['accuracy']:.0%} ({row['accuracy_se']:.0%})"
            for row in (curve[place] for curve in curves.values())
        ]
        table.add_row(f"{threshold:g}", *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
