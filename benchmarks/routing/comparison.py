"""The router's signals alone and together, each set calibrated by the same rule and measured on the same prompts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import calibrate
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.weights import FittedWeights, fit_weights

COMPARED = ("embedding", "keywords", "tasks", "classifier")
"""The signals that are compared."""


@dataclass(frozen=True)
class Held:
    """How a router did on one held-out set."""

    right: int
    """Prompts that the right adapter got, or the base where that is right."""
    total: int
    recall: float
    """Share of the adapters' prompts that the right one got."""
    to_base: float
    """Share of the others that the base got."""
    auroc: float
    """Area under the curve: how well the best margin tells the adapters' prompts from the others."""

    @property
    def accuracy(self) -> float:
        """``right / total``."""
        return self.right / self.total

    @property
    def error(self) -> float:
        """Standard error of `accuracy` (binomial)."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.total)


def held_out_sets() -> dict[str, tuple[Labelled, ...]]:
    """The sets by name: paraphrases and out-of-scope prompts; rewordings and prompts that touch the same subjects; the
    kept questions.
    """
    paraphrases = [Labelled(row.prompt, row.family) for row in prompts.paraphrases()]
    outside = [Labelled(text, None) for text in prompts.out_of_scope("test")]
    return {"paraphrases": (*paraphrases, *outside), "rewordings": prompts.rewordings(), "kept": prompts.kept()}


def judged(router: SemanticRouter, rows: Sequence[Labelled]) -> Held:
    """How ``router`` does on ``rows``."""
    from sklearn.metrics import roc_auc_score

    router.messages([row.prompt for row in rows])  # embedded in batches, and remembered
    decisions = [router.decide([{"role": "user", "content": row.prompt}]) for row in rows]
    right = np.array([made.adapter == row.adapter for made, row in zip(decisions, rows, strict=True)])
    inside = np.array([row.adapter is not None for row in rows])
    best = np.array([max(made.scores.values(), default=0.0) for made in decisions])
    return Held(
        int(right.sum()),
        len(rows),
        float(right[inside].mean()),
        float(right[~inside].mean()),
        float(roc_auc_score(inside, best)),
    )


def calibrated(
    embedder: TextEmbedder | None, cards: Sequence[RouteCard], weights: Mapping[str, float]
) -> SemanticRouter:
    """A router of these signals, with thresholds chosen for them on the calibration prompts."""
    router = SemanticRouter(embedder, cards, signals=weights)
    splits = prompts.out_of_scope("calibration"), prompts.conversations("calibration")
    return SemanticRouter(embedder, cards, calibrate(router, prompts.in_scope_calibration(), *splits))


def calibration_prompts() -> tuple[Labelled, ...]:
    """Those for adapters and those for the base."""
    return (*prompts.in_scope_calibration(), *(Labelled(text, None) for text in prompts.out_of_scope("calibration")))


def fitted(embedder: TextEmbedder, cards: Sequence[RouteCard], signals: Iterable[str] = COMPARED) -> FittedWeights:
    """Weights of ``signals`` by the calibration prompts."""
    router = SemanticRouter(embedder, cards, signals=dict.fromkeys(signals, 1.0))
    asked = calibration_prompts()
    votes = [router.decide([{"role": "user", "content": row.prompt}]).votes for row in asked]
    return fit_weights(asked, votes, [card.name for card in cards if card.texts])


def run_weights(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Fit the weights and show the loss that each further signal saves."""
    found = fitted(embedder, cards)
    for taken, loss in found.losses.items():
        print(f"{taken:40} held-out loss {loss:.4f} nats")
    print(f"weights: {found.weights}")
    return {"weights": dict(found.weights), "losses": dict(found.losses)}


def run_signals(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Each signal alone, all with equal weights, and the fitted weights, on every held-out set."""
    found = fitted(embedder, cards)
    sets: dict[str, Mapping[str, float]] = {name: {name: 1.0} for name in COMPARED}
    sets |= {f"embedding + {name}": {"embedding": 0.5, name: 0.5} for name in COMPARED if name != "embedding"}
    sets["all, equal weights"] = dict.fromkeys(COMPARED, 1 / len(COMPARED))
    sets["fitted weights"] = {name: weight for name, weight in found.weights.items() if weight}
    held = held_out_sets()
    print(f"{'':28}" + "".join(f" | {name}: right (SE)  recall  base  AUROC" for name in held))
    result: dict[str, object] = {}
    for name, weights in sets.items():
        router = calibrated(embedder, cards, weights)
        rows = {of: judged(router, asked) for of, asked in held.items()}
        shown = (f"{r.right}/{r.total} {r.accuracy:.3f} ({r.error:.3f}) {r.recall:.3f} {r.to_base:.3f} {r.auroc:.3f}"
                 for r in rows.values())  # fmt: skip
        print(f"{name:28} | " + " | ".join(shown))
        result[name] = {of: {"accuracy": round(r.accuracy, 4), "se": round(r.error, 4), "recall": round(r.recall, 4),
                             "to_base": round(r.to_base, 4), "auroc": round(r.auroc, 4)}
                        for of, r in rows.items()}  # fmt: skip
    return {"weights": dict(found.weights), "sets": result}
