"""Gates over the shipped adapters, which answer questions of their own: is one ever worth more than routing?

    python -m benchmarks.composition.shipped_gates --problems 50 --kept runs/shipped-gates.jsonl

Held-out problems of each shipped adapter, greedy: under the adapter that they are for, under the one that the router
chooses, under static mixes, under Arrow, and under a gate that has learnt from examples which adapter a question is
for. Shares of right answers with their standard errors; the last line is JSON. Answers are kept, so that a run that
was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from adaptrix_core.base import BaseModelManager
from adaptrix_core.engine import Engine
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.gate import Gate, gate_mix
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Term
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.calibration import load_calibration
from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.training.evaluation.interference import loaded_adapters
from adaptrix_core.training.examples.datasets import load_conversations
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.gates.choice_training import ChoiceTraining, train_choice
from benchmarks.composition.shipped_problems import NAMES, ChoiceOf, shares_of
from benchmarks.harness.kept import Kept

MOST_TOKENS = 512
"""Most tokens of an example that a gate learns from."""


def main() -> None:
    """Ask under every condition, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=50, help="held-out problems of each adapter")
    parser.add_argument("--examples", type=int, default=100, help="examples of each adapter that the gate learns from")
    parser.add_argument("--kept", type=Path, default=Path("runs/shipped-gates.jsonl"), help="answers marked before")
    given = parser.parse_args()
    kept = Kept(given.kept)
    engine = Engine.from_pretrained()
    weights = {name: adapter.weights for name, adapter in loaded_adapters(engine, NAMES).items()}
    gate = _learnt(weights, given.examples)
    conditions = _conditions(weights, gate)
    shares = shares_of(engine, conditions, given.problems, kept, f"{given.problems} {given.examples}")
    print(json.dumps({"benchmark": "composition.shipped_gates", "problems": given.problems, "right": shares}))


def _conditions(weights: Mapping[str, LoraWeights], gate: Gate) -> dict[str, ChoiceOf]:
    directory = shipped_adapters()
    router = SemanticRouter(TextEmbedder(), cards_in(directory), load_calibration(directory / "routing.json"))
    terms, own = [Term(name) for name in NAMES], list(weights.values())
    fixed: dict[str, AdapterChoice] = {
        "base": None,
        "1/3 each": dict.fromkeys(NAMES, 1 / 3),
        "1 each": dict.fromkeys(NAMES, 1.0),
        "arrow, 1 of 3": gate_mix(terms, arrow_gate(own, top_k=1)),
        "arrow": gate_mix(terms, arrow_gate(own)),
        "learnt choice": gate_mix(terms, gate),
        "learnt choice, 1 of 3": gate_mix(terms, replace(gate, top_k=1)),
    }
    routed: dict[str, ChoiceOf] = {
        "right adapter": lambda name, problem: name,
        "routed": lambda name, problem: router.decide([{"role": "user", "content": problem.question}]).adapter,
    }
    return routed | {name: (lambda _, problem, choice=choice: choice) for name, choice in fixed.items()}


def _learnt(weights: Mapping[str, LoraWeights], examples: int) -> Gate:
    """The gate that `adaptrix train-gate` learns from so many examples of each adapter."""
    base = BaseModelManager("smollm2-135m", precision="fp32").load_model()
    conversations = [one for name in NAMES for one in load_conversations(name, examples, seed=0)]
    encoded = encode_examples(base, conversations, MOST_TOKENS)
    with Console(stderr=True).status("the gate") as status:
        return train_choice(
            base,
            list(weights.values()),
            encoded,
            ChoiceTraining(),
            lambda done: status.update(f"the gate: {done} of {len(encoded)} examples"),
        ).gate


if __name__ == "__main__":
    main()
