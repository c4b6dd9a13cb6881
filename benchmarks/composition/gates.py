"""A gate where it can win: two adapters of one output format, trained on disjoint halves of a task, tested on both.

    python -m benchmarks.composition.gates --runs runs/gates --seeds 0 1 2

One adapter has learnt sums of plus signs only, the other of minus signs only; the questions have both in one sum, so
which adapter is needed changes from token to token. Compared on the same questions: the base, each adapter (the better
one is what routing could reach), static mixes, Arrow, a gate with random directions, a gate trained on a few hundred
mixed sums, and one adapter trained on all of it: both halves' sums and the gate's. What each half answers rightly of
sums of its own sign is told too. Answers are computed with int8 weights. Trainings, and what was measured with a seed,
are kept in ``--runs`` and taken up again. The interval is one standard error over seeds; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.adapters.peft.conversion import import_peft
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.injection import LoraWeights, Term
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.gate import Gate, PointGate, gate_mix
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.examples.packing import Example
from adaptrix_core.training.gates.gate_training import GateTraining, train_gate
from adaptrix_core.training.tasks.math import running_totals
from adaptrix_core.training.tasks.problem import stated_number, with_answer
from adaptrix_core.training.trainer import train_examples
from benchmarks.harness.kept import Kept

LAYERS = (10, 14, 18)
HALVES = ("plus", "minus")
SIGNS: Mapping[str, str] = {"plus": "+", "minus": "-"}
WORDINGS = ("What is {}?", "Calculate {}.", "{} = ?", "Work out {} for me, please.", "Compute the value of {}")
REPLY = SamplingParams(max_tokens=64, temperature=0.0)


@dataclass(frozen=True)
class Sum:
    """A sum of three or four numbers, as it is asked for and worked out."""

    expression: str
    question: str

    @property
    def answer(self) -> int:
        """The value."""
        return int(running_totals(self.expression)[-1].rsplit(" = ", 1)[1])

    @property
    def learnt(self) -> LearntConversation:
        """The question with the running total as working."""
        reply = with_answer("\n".join(running_totals(self.expression)), str(self.answer))
        return LearntConversation.of_pair(self.question, reply)


@dataclass(frozen=True)
class Measured:
    """Shares of right answers with one seed."""

    mixed: dict[str, float]
    """To sums with both signs, of every condition."""
    own: dict[str, float]
    """Of each half, to sums with its own sign."""


def sums(kind: str, count: int, seed: int, largest: int) -> list[Sum]:
    """Different sums of numbers from 1 to ``largest``. kind: ``plus``, ``minus``, or ``mixed`` for both."""
    rng, made = Random(f"{kind} {seed}"), dict[str, Sum]()
    while len(made) < count:
        signs = [SIGNS.get(kind) or rng.choice("+-") for _ in range(rng.choice((2, 3)))]
        if kind == "mixed" and len(set(signs)) == 1:
            continue
        expression = " ".join([str(rng.randint(1, largest)), *(f"{sign} {rng.randint(1, largest)}" for sign in signs)])
        made[expression] = Sum(expression, rng.choice(WORDINGS).format(expression))
    return list(made.values())


def main() -> None:
    """Train what is missing, ask, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="where trainings are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--examples", type=int, default=640, help="sums that each adapter is trained on")
    parser.add_argument("--largest", type=int, default=20, help="the largest number in a sum")
    parser.add_argument("--gate-examples", type=int, default=200, help="mixed sums that the gate is trained on")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--rank", type=int, default=64)
    given = parser.parse_args()
    results = [_kept(seed, given) for seed in given.seeds]
    _print([result.mixed for result in results], f"{given.questions} sums with both signs")
    _print([result.own for result in results], f"{given.questions} sums of a half's own sign")
    measured = {"right": [result.mixed for result in results], "own": [result.own for result in results]}
    print(json.dumps({"benchmark": "composition.gates", "questions": given.questions, **measured}))


def _kept(seed: int, given: argparse.Namespace) -> Measured:
    """What was measured with this seed and the same settings, or what is measured now."""
    settings = f"{given.examples} {given.largest} {given.gate_examples} {given.questions} {given.rank}"
    kept = Kept(given.runs / f"{seed}.jsonl")
    return Measured(**kept.once(settings, lambda: asdict(_measured(seed, given))))


def _measured(seed: int, given: argparse.Namespace) -> Measured:
    """The share of right answers of every condition."""
    base = BaseModelManager("smollm2-135m", precision="fp32").load_model()
    halves = {kind: sums(kind, given.examples, seed, given.largest) for kind in HALVES}
    mixed = sums("mixed", given.gate_examples, seed, given.largest)
    learnt = {**halves, "joint": [*halves["plus"], *halves["minus"], *mixed]}
    adapters = {
        name: _trained(base, examples, given.runs / f"{seed}-{name}", given.rank, seed + number)
        for number, (name, examples) in enumerate(learnt.items())
    }
    console = Console(stderr=True)
    with console.status("the gate") as status:
        gate = train_gate(
            base,
            [adapters[kind] for kind in HALVES],
            _encoded(base, mixed),
            GateTraining(seed=seed),
            lambda step, loss: status.update(f"the gate: step {step}, loss {loss:.3f}"),
        )
    known = {example.expression for examples in (*learnt.values(), mixed) for example in examples}
    drawn = {kind: sums(kind, 2 * given.questions, seed + 1000, given.largest) for kind in (*HALVES, "mixed")}
    asked = {
        kind: [one for one in ones if one.expression not in known][: given.questions] for kind, ones in drawn.items()
    }
    with TemporaryDirectory() as directory:
        served = BaseModelManager("smollm2-135m", precision="int8").load_model()
        engine = _engine(served, adapters, Path(directory))
        return Measured(
            _shares(engine, _conditions(adapters, gate, seed), asked["mixed"]),
            {kind: _shares(engine, {kind: kind}, asked[kind])[kind] for kind in HALVES},
        )


def _conditions(adapters: Mapping[str, LoraWeights], gate: Gate, seed: int) -> dict[str, AdapterChoice]:
    pair, terms = [adapters[kind] for kind in HALVES], [Term(kind) for kind in HALVES]
    return {
        "base": None,
        "plus": "plus",
        "minus": "minus",
        "0.5 + 0.5": {"plus": 0.5, "minus": 0.5},
        "1 + 1": {"plus": 1.0, "minus": 1.0},
        "arrow, 1 of 2": gate_mix(terms, arrow_gate(pair, top_k=1)),
        "arrow": gate_mix(terms, arrow_gate(pair)),
        "random gate": gate_mix(terms, _random_gate(pair, seed)),
        "learned gate": gate_mix(terms, gate),
        "joint": "joint",
    }


def _random_gate(adapters: Sequence[LoraWeights], seed: int) -> Gate:
    """What a trained gate has to be better than."""
    generator = torch.Generator().manual_seed(seed)
    points = {
        point: PointGate(torch.randn(at.directions.shape, generator=generator) * 0.1, at.offsets, at.acting)
        for point, at in arrow_gate(adapters).points.items()
    }
    return Gate(points, len(adapters))


def _trained(base: BaseModel, examples: Sequence[Sum], directory: Path, rank: int, seed: int) -> LoraWeights:
    config = TrainConfig(
        name=directory.name,
        data=f"sums, {directory.name}",
        output_dir=directory,
        examples=len(examples),
        held_out=0.0,
        epochs=1.0,
        batch_size=8,
        rank=rank,
        layers=LAYERS,
        seed=seed,
    )
    with Console(stderr=True).status(directory.name) as status:
        train_examples(
            base,
            _encoded(base, examples),
            config,
            lambda step, total: status.update(
                f"{directory.name}: step {step.number + 1} of {total}, loss {step.loss:.3f}"
            ),
        )
    return import_peft(directory, base, directory.name)[1]


def _encoded(base: BaseModel, examples: Sequence[Sum]) -> list[Example]:
    return encode_examples(base, [example.learnt for example in examples], 256)


def _engine(base: BaseModel, adapters: Mapping[str, LoraWeights], directory: Path) -> Engine:
    engine = Engine(base, directory / "catalogue", TrustPolicy("off"), EngineOptions(cut=LAYERS[0]))
    for name, weights in adapters.items():
        write_package(directory / name, describe(weights, base.info, name), weights)
        engine.load_adapter(directory / name)
    return engine


def _shares(engine: Engine, conditions: Mapping[str, AdapterChoice], asked: Sequence[Sum]) -> dict[str, float]:
    prompts = [[{"role": "user", "content": question.question}] for question in asked]
    shares = {}
    for name, choice in conditions.items():
        right = 0
        for start in range(0, len(asked), engine.options.max_rows):
            part = slice(start, start + engine.options.max_rows)
            replies = engine.generate(prompts[part], choice, REPLY)
            right += sum(
                stated_number(reply.text) == question.answer
                for reply, question in zip(replies, asked[part], strict=True)
            )
        shares[name] = right / len(asked)
    return shares


def _print(results: Sequence[Mapping[str, float]], asked: str) -> None:
    table = Table(title=f"right answers to {asked}, {len(results)} seeds")
    for column in ("condition", *(f"seed {number}" for number in range(len(results))), "mean ± standard error"):
        table.add_column(column, justify="right")
    for name in results[0]:
        shares = [result[name] for result in results]
        mean = sum(shares) / len(shares)
        error = statistics.stdev(shares) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
        table.add_row(name, *(f"{share:.1%}" for share in shares), f"{mean:.1%} ± {error:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
