"""Do scores of conflict foretell what a mix costs? Scores of each mix, and the accuracy that its adapters lose in it.

    python -m benchmarks.composition.conflicts --problems 24 --kept runs/conflicts.jsonl

For each pair of shipped adapters and each pair of weights: scores of the weights, the rise of loss on the adapters' own
answers to their routing examples (neither saw the problems), and the drop of right answers on each adapter's held-out
problems, mean of both. Then Spearman's rank correlation of each score with the drop, with a bootstrap's standard error
over the mixes: of the first set of weights, to which the curve of `answers_lost` was fitted, of the wide one, and of
those of the wide one that are not in the first. Then accuracies under mixes whose weights attention has reduced, and
under merged adapters (TIES, DARE, sum). Ends with one line of JSON. It can be stopped at any time and goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.composition.conflicts.expected_loss import expected_loss
from adaptrix_core.composition.conflicts.merging import Method, merged
from adaptrix_core.composition.conflicts.weight_conflict import displacement, weight_conflict
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.injection.mix import Term
from adaptrix_core.training.evaluation.attention_reduction import reduced_by_attention
from adaptrix_core.training.evaluation.interference import InterferenceMeter, loaded_adapters
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.harness.kept import Kept

FIRST = ((0.5, 0.5), (0.7, 0.3), (0.3, 0.7), (0.85, 0.15), (0.15, 0.85), (1.0, 1.0))
"""Weights of the mixes to which the curve of `expected_loss.py` was fitted."""
WIDE = ((1.0, 0.1), (0.5, 0.5), (1.0, 0.5), (0.1, 1.0), (1.0, 0.25), (0.7, 0.3), (0.25, 1.0))
"""Weights over the range that people use; for those that are not in the first set the curve was fixed before."""
EQUAL = ((0.5, 0.5), (1.0, 1.0))
"""Weights of the mixes that are reduced by attention."""
SETS = {"wide": WIDE, "first": FIRST, "unseen": tuple(weights for weights in WIDE if weights not in FIRST)}
PAIRS = tuple(combinations(FAMILIES, 2))
SCORES = (
    "answers_lost", "probability_lost", "loss_rise", "tokens_lost", "displacement", "cosine", "sign_conflict",
    "input_overlap", "output_overlap",
)  # fmt: skip
MERGED: tuple[tuple[Method, float], ...] = (("linear", 1.0), ("ties", 0.2), ("dare_linear", 0.5), ("dare_ties", 0.5))
MAX_TOKENS = 96
BATCH = 24
DRAWS = 2000


def main() -> None:
    """Measure every mix, print the table, correlations, merged adapters, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=24, help="held-out problems of each adapter")
    parser.add_argument("--kept", type=Path, default=Path("runs/conflicts.jsonl"), help="measurements made before")
    given = parser.parse_args()
    bench = _Bench(given.problems, given.kept)
    for weights in dict.fromkeys((*WIDE, *FIRST)):
        for pair in PAIRS:
            bench.effects(dict(zip(pair, weights, strict=True)))  # first, as adapters' own answers are made once
    sets = {label: [bench.mix(pair, w) for w in weights for pair in PAIRS] for label, weights in SETS.items()}
    found = {}
    for label, rows in sets.items():
        _print(label, rows)
        found[label] = _correlations(rows)
        for score, (value, error) in found[label].items():
            print(f"Spearman of {score} with the drop, {len(rows)} mixes ({label}): {value:+.2f} ± {error:.2f}")
    reductions = [bench.reduced(pair, weights) for weights in EQUAL for pair in PAIRS]
    for row in reductions:
        print(f"{row['mix']:52} {row['before']} reduced to {row['weights']}: {row['after']}")
    merges = [bench.merge(pair, method, density) for pair in PAIRS for method, density in MERGED]
    for row in merges:
        print(f"{row['pair']:40} {row['method']:12} {row['accuracies']}")
    measured = {"mixes": sets, "merged": merges, "reduced": reductions, "spearman": found}
    print(json.dumps({"benchmark": "composition conflicts", "problems": given.problems, **measured}))


class _Bench:
    def __init__(self, problems: int, kept: Path) -> None:
        self._engine = Engine.from_pretrained()
        self._problems = {name: family.held_out(problems) for name, family in FAMILIES.items()}
        self._adapters = loaded_adapters(self._engine, tuple(FAMILIES))
        examples = {name: adapter.metadata.routing_examples for name, adapter in self._adapters.items()}
        self._meter = InterferenceMeter(self._engine, examples)
        self._kept, self._count = Kept(kept), problems
        self._console = Console(stderr=True)

    def mix(self, pair: tuple[str, str], weights: tuple[float, float]) -> dict[str, Any]:
        """Scores of a mix, and the accuracy that its two adapters lose in it."""
        mix = dict(zip(pair, weights, strict=True))
        effects = self.effects(mix)
        alone = [self._accuracy(name, name, {name: 1.0}) for name in pair]
        mixed = [self._accuracy(name, str(mix), mix) for name in pair]
        both = [self._adapters[name].weights for name in pair]
        compared = self._once(f"weights {pair}", lambda: weight_conflict(*both).to_json())
        shares = [(own, Term("", weight).weight_at) for own, weight in zip(both, weights, strict=True)]
        displaced = self._once(f"displacement {mix}", lambda: [displacement(own, shares) for own in both])
        lost = [1 - effect["tokens_kept"] for effect in effects["effects"].values()]
        drop = sum(a - b for a, b in zip(alone, mixed, strict=True)) / 2
        self._console.print(f"{mix}: score {effects['score']:.3f}, drop {drop:.2f}", highlight=False)
        return {
            "mix": "+".join(f"{name}*{weight:g}" for name, weight in mix.items()),
            "answers_lost": sum(map(expected_loss, displaced)) / 2,
            "probability_lost": sum(map(_probability_lost, effects["effects"].values())) / 2,
            "loss_rise": sum(effect["loss_rise"] for effect in effects["effects"].values()) / 2,
            "tokens_lost": sum(lost) / 2,
            "displacement": sum(min(1.0, value) for value in displaced) / 2,
            **{name: value for name, value in compared.items() if name != "points"},
            "alone": alone,
            "mixed": mixed,
            "drop": drop,
            "rises": [effect["loss_rise"] for effect in effects["effects"].values()],
            "displaced": displaced,
            "drops": [a - b for a, b in zip(alone, mixed, strict=True)],
        }

    def effects(self, mix: Mapping[str, float]) -> Any:
        """What a mix does to the answers of its adapters (`Interference`), as plain numbers."""
        return self._once(f"effects {mix}", lambda: self._meter.measure(mix).to_json())

    def reduced(self, pair: tuple[str, str], weights: tuple[float, float]) -> dict[str, Any]:
        """Accuracies of both adapters' problems in a mix, before and after attention has reduced its weights."""
        mix = dict(zip(pair, weights, strict=True))
        after: dict[str, float] = self._once(
            f"reduced {mix}", lambda: reduced_by_attention(self._engine, mix, self._meter.prompts)
        )
        self._console.print(f"{mix} reduced to {after}", highlight=False)
        return {
            "mix": "+".join(f"{name}*{weight:g}" for name, weight in mix.items()),
            "weights": [round(after[name], 3) for name in pair],
            "before": [self._accuracy(name, str(mix), mix) for name in pair],
            "after": [self._accuracy(name, str(after), after) for name in pair],
        }

    def merge(self, pair: tuple[str, str], method: Method, density: float) -> dict[str, Any]:
        """Accuracies of both adapters' problems under the adapter that they are merged into, half of each."""
        name = f"merged-{method}".replace("_", "-")

        def measured() -> list[float]:
            weights = merged([self._adapters[n].weights for n in pair], [0.5, 0.5], method, rank=128, density=density)
            with tempfile.TemporaryDirectory() as place:
                directory = Path(place) / name
                write_package(directory, describe(weights, self._engine.base.info, name), weights)
                trusting = Engine(self._engine.base, place, TrustPolicy("off"), self._engine.options)
                trusting.load_adapter(directory, name=name)
                found = [self._right(n, {name: 1.0}, trusting) for n in pair]
                trusting.loader.close()
            return found

        accuracies = self._once(f"merged {pair} {method} {density}", measured)
        self._console.print(f"{method} of {pair}: {accuracies}", highlight=False)
        return {"pair": " + ".join(pair), "method": method, "density": density, "accuracies": accuracies}

    def _accuracy(self, name: str, label: str, mix: Mapping[str, float]) -> float:
        accuracy: float = self._once(f"right {name} under {label}", lambda: self._right(name, mix, self._engine))
        return accuracy

    def _right(self, name: str, mix: Mapping[str, float], engine: Engine) -> float:
        problems, params = self._problems[name], SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
        replies: list[str] = []
        for start in range(0, len(problems), BATCH):
            asked = [[{"role": "user", "content": p.question}] for p in problems[start : start + BATCH]]
            replies += [completion.text for completion in engine.generate(asked, dict(mix), params)]
        tasks = {task.name: task for task in FAMILIES[name].tasks}
        right = sum(tasks[p.task].score([p], [reply])[0] for p, reply in zip(problems, replies, strict=True))
        return right / len(problems)

    def _once(self, key: str, measure: Callable[[], Any]) -> Any:
        return self._kept.once(f"{self._count} {key}", measure)


def _probability_lost(effect: Mapping[str, float]) -> float:
    """Share of its probability that an answer of mean length loses."""
    return 1 - math.exp(-max(0.0, effect["loss_rise"]) * effect["tokens"] / effect["prompts"])


def _print(label: str, rows: Sequence[Mapping[str, Any]]) -> None:
    print(
        f"{label + ' set':52}" + "".join(f"{score:>15}" for score in SCORES) + f"{'alone':>14}{'mixed':>14}{'drop':>7}"
    )
    for row in rows:
        pairs = ["/".join(f"{100 * share:.0f}" for share in row[which]) for which in ("alone", "mixed")]
        cells = "".join(f"{row[score]:15.3f}" for score in SCORES)
        print(f"{row['mix']:52}{cells}{pairs[0]:>14}{pairs[1]:>14}{row['drop']:7.2f}")


def _correlations(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Of each score of a mix with what its adapters lose, and of scores of one adapter with what that one loses."""
    found = {score: _correlation([row[score] for row in rows], [row["drop"] for row in rows]) for score in SCORES}
    drops = [drop for row in rows for drop in row["drops"]]
    for which, called in (("rises", "loss rise of each adapter"), ("displaced", "displacement of each adapter")):
        found[called] = _correlation([value for row in rows for value in row[which]], drops)
    return found


def _correlation(scores: Sequence[float], drops: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation, and its standard error by a bootstrap over the mixes."""
    random = Random(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = [random.randrange(len(drops)) for _ in drops]
        drawn.append(spearman([scores[i] for i in chosen], [drops[i] for i in chosen]))
    mean = sum(drawn) / DRAWS
    return spearman(scores, drops), math.sqrt(sum((value - mean) ** 2 for value in drawn) / (DRAWS - 1))


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation, equal values sharing the mean of their ranks; 0 where all values of one side are equal."""
    first, second = (_ranks(values) for values in (one, other))
    middle = (len(first) - 1) / 2
    spread = math.sqrt(sum((a - middle) ** 2 for a in first) * sum((b - middle) ** 2 for b in second))
    return sum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True)) / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(other < v for other in values) + (sum(other == v for other in values) - 1) / 2 for v in values]


if __name__ == "__main__":
    main()
