"""How well estimators of confidence tell right answers from wrong ones: all that are built in, and some that cost more.

    python -m benchmarks.confidence --answers runs/confidence

Answers of the shipped adapters to the questions of `adaptrix calibrate` (held-out, harder, freely worded), kept in the
directory, so that a run that was cut off goes on. On every n-th question also what needs further computing: samples
that agree, the answer's probability under the base model and another adapter and whether theirs is the same, and for
code whether it runs. Policies of holding back are measured by `benchmarks.confidence.policies`.
Standard errors are by the bootstrap; calibration errors are of probabilities foretold of questions not fitted on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.status import Status

from adaptrix_core.confidence.evidence import FurtherEvidence
from adaptrix_core.engine import Engine
from adaptrix_core.training.calibration.answers import MarkedAnswer, collect
from adaptrix_core.training.calibration.questions import family_questions
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.confidence.dearer import DEARER, dearer_figures
from benchmarks.confidence.figures import judged_by, row_of, shift_of
from benchmarks.confidence.further import collect_further
from benchmarks.confidence.table import show

OF_ONE_ANSWER = (
    "logprob_sum", "logprob_mean", "lowest_logprobs", "entropy_mean", "entropy_max", "margin_min", "rauq",
    "attention_entropy",
)  # fmt: skip
MAX_TOKENS = 160


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
    further: dict[str, dict[int, FurtherEvidence]] = {}
    for name in FAMILIES:
        asked = family_questions(name, given.held_out, given.hard, given.free)
        path = given.answers / f"{name}-{engine.base.layout}.jsonl"
        with console.status(f"{name}: answers") as status:
            told = _telling(status, f"{name}: answers")
            found = collect(engine, name, asked, MAX_TOKENS, path, told, OF_ONE_ANSWER)
            answers[name] = found
            if given.every:
                chosen = {number: found[number] for number in range(0, len(found), given.every)}
                beside = path.with_suffix(".further.jsonl")
                told = _telling(status, f"{name}: further evidence")
                further[name] = collect_further(engine, name, asked, chosen, DEARER, MAX_TOKENS, beside, told)
    rows = {name: row_of(judged_by(answers, name)) for name in OF_ONE_ANSWER}
    show("Every answer", rows)
    moved = shift_of(judged_by(answers, "logprob_sum"))
    print(
        f"Fitted on held-out problems alone, freely worded ones ({moved['answers']:.0f}): mean confidence "
        f"{moved['mean_confidence']:.2f}, right {moved['right']:.2f}, ECE {moved['ece']:.2f}"
    )
    dearer = dearer_figures(answers, further) if further else {}
    show(f"One answer in {given.every}", dearer)
    found_all = {"estimators": rows, "shift": moved, "dearer": dearer}
    print(json.dumps({"benchmark": "confidence", "layout": engine.base.layout, **found_all}))


def _telling(status: Status, what: str) -> Callable[[int, int], None]:
    return lambda done, total: status.update(f"{what}, {done} of {total}")


if __name__ == "__main__":
    main()
