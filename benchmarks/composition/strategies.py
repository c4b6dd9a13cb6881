"""Every strategy over the shipped adapters, beside the best single one: is any of them worth more than routing?

    python -m benchmarks.composition.strategies --problems 50 --kept runs/strategies.jsonl

Held-out problems of each shipped adapter, greedy. Each of the strategies has all three adapters at hand and is not told
whom a problem is for. Shares of right answers with their standard errors; the last line is JSON. Answers are kept, so
that a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptrix_core.engine import Engine
from benchmarks.composition.shipped_problems import NAMES, ChoiceOf, shares_of
from benchmarks.harness.kept import Kept

MATH, LOGIC, CODE = "math_reasoning", "logical_reasoning", "code_generation"
ABOUT = [{"if": {"about": name}, "then": name} for name in NAMES]
COMPOSITIONS: Mapping[str, Any] = {
    "base model": None,
    **{f"{name} alone": name for name in NAMES},
    "parallel, 1/3 each": {"parallel": dict.fromkeys(NAMES, 1 / 3)},
    "hierarchical, thirds": {
        "hierarchical": [
            {"adapter": MATH, "layers": "early"},
            {"adapter": LOGIC, "layers": "mid"},
            {"adapter": CODE, "layers": "late"},
        ]
    },
    "logits of all": {"parallel": list(NAMES), "combine": "logits"},
    "vote of all": {"parallel": list(NAMES), "combine": "vote"},
    "conditional by question": {"conditional": ABOUT, "else": None},
    "conditional by marker": {"conditional": [{"if": {"marker": "\n"}, "then": LOGIC}], "else": MATH},
    "conditional by confidence": {
        "conditional": [
            {"if": {"confidence_below": 0.6, "over": 8}, "then": LOGIC},
            {"if": {"confidence_below": 0.6, "over": 8}, "then": CODE},
        ],
        "else": MATH,
    },
    "vote of conditionals": {
        "parallel": [
            {"conditional": [{"if": {"confidence_below": 0.6, "over": 8}, "then": LOGIC}], "else": MATH},
            {"conditional": [{"if": {"confidence_below": 0.6, "over": 8}, "then": CODE}], "else": LOGIC},
            CODE,
        ],
        "combine": "vote",
    },
    "sequential, all pass on": {"sequential": [MATH, LOGIC, CODE]},
}


def main() -> None:
    """Ask under every composition, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=50, help="held-out problems of each adapter")
    parser.add_argument("--kept", type=Path, default=Path("runs/strategies.jsonl"), help="answers marked before")
    given = parser.parse_args()
    engine = Engine.from_pretrained()
    conditions: dict[str, ChoiceOf] = {"right adapter": lambda name, problem: name}
    conditions |= {name: _always(choice) for name, choice in COMPOSITIONS.items()}
    shares = shares_of(engine, conditions, given.problems, Kept(given.kept), str(given.problems))
    print(json.dumps({"benchmark": "composition.strategies", "problems": given.problems, "right": shares}))


def _always(choice: Any) -> ChoiceOf:
    return lambda name, problem: choice


if __name__ == "__main__":
    main()
