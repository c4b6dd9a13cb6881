"""How well estimators of confidence tell right answers from wrong ones: all that are built in, and some that cost more.

    python -m benchmarks.confidence --answers runs/confidence

Answers of the shipped adapters to the questions of `adaptrix calibrate` (held-out, harder, freely worded), kept in the
directory, so that a run that was cut off goes on. On every n-th question also what needs further computing: samples
that agree, the answer's probability under the base model and under another adapter, and for code whether it runs.
Standard errors are by the bootstrap; calibration errors are of probabilities foretold of questions not fitted on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.training.calibration.answers import MarkedAnswer, collect
from adaptrix_core.training.calibration.calibrate import scored
from adaptrix_core.training.calibration.fitting import fit
from adaptrix_core.training.calibration.measures import (
    Floats,
    Marks,
    auroc,
    bootstrap_error,
    calibration_error,
    calibration_error_floor,
    most_coverage,
    rejection_ratio,
)
from adaptrix_core.training.calibration.questions import QuestionSet, family_questions
from adaptrix_core.training.evaluation.sandbox import Call, run_call
from adaptrix_core.training.tasks.code import extract_code
from adaptrix_core.training.tasks.families import FAMILIES

FREE_OF_COST = (
    "logprob_sum", "logprob_mean", "lowest_logprobs", "entropy_mean", "entropy_max", "margin_min",
)  # fmt: skip
SAMPLES, TEMPERATURE = 3, 0.7
MAX_TOKENS = 160
_PROBES: tuple[object, ...] = (5, [3, -2, 4], "a b1")
"""Arguments that a function is tried with: a number, numbers, a text."""


@dataclass(frozen=True)
class Judged:
    """Answers with a score for each, by family."""

    answers: Sequence[MarkedAnswer]
    scores: Floats

    @property
    def right(self) -> Marks:
        """Whether each answer is right."""
        return np.array([answer.right for answer in self.answers], dtype=bool)


def main() -> None:
    """Collect, compare, print; end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, default=Path("runs/confidence"))
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--hard", type=int, default=200)
    parser.add_argument("--free", type=int, default=240)
    parser.add_argument("--every", type=int, default=8, help="one in so many questions for what costs more; 0: none")
    given = parser.parse_args()
    console = Console(stderr=True)
    engine = Engine.from_pretrained()
    answers: dict[str, list[MarkedAnswer]] = {}
    asked: dict[str, QuestionSet] = {}
    for name in FAMILIES:
        asked[name] = family_questions(name, given.held_out, given.hard, given.free)
        path = given.answers / f"{name}-{engine.base.layout}.jsonl"
        with console.status(f"{name}: answers") as status:

            def told(done: int, total: int, name: str = name) -> None:
                status.update(f"{name}: {done} of {total} answers")

            answers[name] = collect(engine, name, asked[name], MAX_TOKENS, path, told)
    rows = {name: row_of(judged_by(answers, name)) for name in FREE_OF_COST}
    dearer: dict[str, dict[str, float]] = {}
    policies: dict[str, dict[str, float]] = {}
    if given.every:
        with console.status("samples, base model, other adapters"):
            some = {name: list(range(0, len(found), given.every)) for name, found in answers.items()}
            dearer, policies = compared(engine, answers, asked, some)
    show("Every answer", rows)
    moved = shift_of(judged_by(answers, "logprob_sum"))
    print(
        f"Fitted on held-out problems alone, freely worded ones ({moved['answers']:.0f}): mean confidence "
        f"{moved['mean_confidence']:.2f}, right {moved['right']:.2f}, ECE {moved['ece']:.2f}"
    )
    show(f"One answer in {given.every}", dearer)
    found = {"estimators": rows, "shift": moved, "dearer": dearer, "coverage_at_90": policies}
    print(json.dumps({"benchmark": "confidence", "layout": engine.base.layout, **found}))


def judged_by(answers: Mapping[str, Sequence[MarkedAnswer]], estimator: str) -> dict[str, Judged]:
    """The scores of all answers by an estimator."""
    return {name: Judged(found, scored(found, estimator)[0]) for name, found in answers.items()}


def row_of(judged: Mapping[str, Judged]) -> dict[str, float]:
    """The figures of one estimator: over all families and by family, by kind of question, and once calibrated."""
    scores = np.concatenate([one.scores for one in judged.values()])
    right = np.concatenate([one.right for one in judged.values()])
    kinds = np.array([answer.kind for one in judged.values() for answer in one.answers])
    row = {
        "answers": len(right),
        "auroc": auroc(scores, right),
        "auroc_se": bootstrap_error(auroc, scores, right),
        "prr": rejection_ratio(scores, right),
        "prr_se": bootstrap_error(rejection_ratio, scores, right),
    }
    row |= {f"auroc_{name}": auroc(one.scores, one.right) for name, one in judged.items()}
    row |= {f"auroc_{kind}": auroc(scores[kinds == kind], right[kinds == kind]) for kind in ("free", "hard")}
    foretold = foretold_by(judged)
    if foretold is not None:
        free = kinds == "free"
        row |= {
            "ece": calibration_error(foretold, right),
            "ece_floor": calibration_error_floor(foretold),
            "ece_free": calibration_error(foretold[free], right[free]),
            "coverage_at_90": most_coverage(foretold, right, 0.9),
        }
    return {name: round(float(value), 4) for name, value in row.items()}


def shift_of(judged: Mapping[str, Judged]) -> dict[str, float]:
    """What probabilities are worth on free wordings where they were fitted on held-out problems alone."""
    said, right = [], []
    for one in judged.values():
        kinds = np.array([answer.kind for answer in one.answers])
        held_out, free = kinds == "held-out", kinds == "free"
        groups = [answer.group for answer in one.answers if answer.kind == "held-out"]
        said.append(fit(one.scores[held_out], one.right[held_out], groups).curve.probabilities(one.scores[free]))
        right.append(one.right[free])
    probabilities, marks = np.concatenate(said), np.concatenate(right)
    return {
        "answers": len(marks),
        "mean_confidence": round(float(probabilities.mean()), 4),
        "right": round(float(marks.mean()), 4),
        "ece": round(calibration_error(probabilities, marks), 4),
    }


def foretold_by(judged: Mapping[str, Judged]) -> Floats | None:
    """The probability foretold of each answer, calibrated by family; None for a score that teaches nothing."""
    try:
        return np.concatenate(
            [fit(one.scores, one.right, [answer.group for answer in one.answers]).foretold for one in judged.values()]
        )
    except ValueError:
        return None


def compared(
    engine: Engine,
    answers: Mapping[str, Sequence[MarkedAnswer]],
    asked: Mapping[str, QuestionSet],
    some: Mapping[str, Sequence[int]],
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Estimators that need further computing, and policies, on the questions of these numbers."""
    embedder = TextEmbedder()
    scores: dict[str, dict[str, list[float]]] = {}
    sampled: dict[str, list[tuple[bool, float]]] = {}
    for name, numbers in some.items():
        chosen = [answers[name][number] for number in numbers]
        prompts = [asked[name].questions[number].messages for number in numbers]
        params = SamplingParams(max_tokens=MAX_TOKENS, temperature=TEMPERATURE, seed=1, n=SAMPLES)
        made = engine.generate(prompts, name, params, scores=["logprob_sum"])
        texts = [[one.text for one in made[at * SAMPLES : (at + 1) * SAMPLES]] for at in range(len(numbers))]
        firsts = made[::SAMPLES]
        marks = asked[name].mark(numbers, [one.text for one in firsts])
        sampled[name] = [(right, one.scores["logprob_sum"]) for right, one in zip(marks, firsts, strict=True)]
        semantic = [alike(embedder, answer.text, others) for answer, others in zip(chosen, texts, strict=True)]
        own = [sum(answer.logprobs) for answer in chosen]
        base = likelihoods(engine, prompts, chosen, None)
        other_name = next(other for other in FAMILIES if other != name)
        other = likelihoods(engine, prompts, chosen, other_name)
        columns = {
            "logprob_sum, here": own,
            "samples that state the same": [agreeing(a.text, t) for a, t in zip(chosen, texts, strict=True)],
            "samples that mean the same (embedder)": semantic,
            "CoCoA: logprob_sum x meaning": [p * (1 - s) for p, s in zip(own, semantic, strict=True)],
            "log-likelihood, own minus base": [a - b for a, b in zip(own, base, strict=True)],
            "log-likelihood under another adapter": other,
        }
        if name == "code_generation":
            runs = [float(code_runs(answer.text)) for answer in chosen]
            columns["code runs, then logprob_sum"] = [100 * r + p for r, p in zip(runs, own, strict=True)]
        for title, column in columns.items():
            scores.setdefault(title, {})[name] = column
    rows = {}
    for title, by_family in scores.items():
        judged = {
            name: Judged([answers[name][number] for number in some[name]], np.array(column))
            for name, column in by_family.items()
        }
        rows[title] = row_of(judged)
    return rows, coverage_by_policy(answers, some, sampled)


def coverage_by_policy(
    answers: Mapping[str, Sequence[MarkedAnswer]],
    some: Mapping[str, Sequence[int]],
    sampled: Mapping[str, Sequence[tuple[bool, float]]],
) -> dict[str, dict[str, float]]:
    """Coverage at 90 % accuracy on these questions: all answers, a threshold, and a threshold with `again`.

    Confidences are foretold by calibrations on the answers to all other questions' groups.
    """
    first, again, right, again_right = [], [], [], []
    for name, numbers in some.items():
        found = answers[name]
        scores, marks = scored(found, "logprob_sum")
        fitted = fit(scores, marks, [answer.group for answer in found])
        first += [fitted.foretold[number] for number in numbers]
        right += [bool(marks[number]) for number in numbers]
        again += fitted.curve.probabilities(np.array([score for _, score in sampled[name]])).tolist()
        again_right += [mark for mark, _ in sampled[name]]
    one, two = np.array(first), np.array(again)
    marks_one, marks_two = np.array(right), np.array(again_right)
    best = {"no policy": float(marks_one.mean() >= 0.9), "min_confidence, abstain": 0.0, "min_confidence, again": 0.0}
    for threshold in np.unique(np.concatenate([one, two])):
        given_first, given_again = one >= threshold, (one < threshold) & (two >= threshold)
        for policy, kept, correct in (
            ("min_confidence, abstain", given_first, marks_one & given_first),
            ("min_confidence, again", given_first | given_again, (marks_one & given_first) | (marks_two & given_again)),
        ):
            if kept.sum() >= 20 and correct.sum() / kept.sum() >= 0.9:
                best[policy] = max(best[policy], float(kept.mean()))
    accuracy = {"accuracy of all answers": float(marks_one.mean())}
    return {name: {"coverage": round(value, 4)} for name, value in best.items()} | {
        name: {"share": round(value, 4)} for name, value in accuracy.items()
    }


def likelihoods(
    engine: Engine, prompts: Sequence[Sequence[Mapping[str, str]]], answers: Sequence[MarkedAnswer], under: str | None
) -> list[float]:
    """The natural-log probability of each answer under another adapter, or the base model: one prefill each."""
    params = SamplingParams(max_tokens=0, prompt_logprobs=0)
    whole = [(*engine.encode(prompt), *answer.token_ids) for prompt, answer in zip(prompts, answers, strict=True)]
    made = engine.generate(whole, under, params)
    return [
        sum(token.logprob for token in (one.prompt_logprobs or ())[-len(answer.token_ids) :])
        for one, answer in zip(made, answers, strict=True)
    ]


def agreeing(answer: str, samples: Sequence[str]) -> float:
    """The share of samples that state the same answer; the whole text where none is stated."""
    meant = stated_answer(answer) or answer.strip()
    return sum((stated_answer(one) or one.strip()) == meant for one in samples) / len(samples)


def alike(embedder: TextEmbedder, answer: str, samples: Sequence[str]) -> float:
    """The mean cosine between an answer and samples."""
    vectors = embedder.embed([answer or " ", *(one or " " for one in samples)])
    return float((vectors[1:] @ vectors[0]).mean())


def code_runs(reply: str) -> bool:
    """Whether the reply defines a function that returns something for some probe, in the sandbox."""
    source = extract_code(reply)
    names = [line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def ")]
    if not names:
        return False
    tried: list[tuple[object, ...]] = [*((probe,) for probe in _PROBES), (4, 7)]
    return any(not run_call(Call(source, names[-1], (arguments,))).fault for arguments in tried)


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """A table for people."""
    if not rows:
        return
    heads: dict[str, Callable[[Mapping[str, float]], str]] = {
        "n": lambda row: f"{row['answers']:.0f}",
        "AUROC (SE)": lambda row: f"{row['auroc']:.3f} ({row['auroc_se']:.3f})",
        "PRR (SE)": lambda row: f"{row['prr']:.3f} ({row['prr_se']:.3f})",
        "math / logic / code": lambda row: " / ".join(
            f"{row[key]:.2f}" if (key := f"auroc_{name}") in row else "-" for name in FAMILIES
        ),
        "free / hard": lambda row: f"{row['auroc_free']:.2f} / {row['auroc_hard']:.2f}",
        "ECE (floor)": lambda row: f"{row['ece']:.3f} ({row['ece_floor']:.3f})" if "ece" in row else "-",
        "ECE, free": lambda row: f"{row['ece_free']:.3f}" if "ece" in row else "-",
        "coverage at 90 %": lambda row: f"{row['coverage_at_90']:.0%}" if "ece" in row else "-",
    }
    table = Table(title=title)
    for head in ("estimator", *heads):
        table.add_column(head)
    for name, row in rows.items():
        table.add_row(name, *(form(row) for form in heads.values()))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
