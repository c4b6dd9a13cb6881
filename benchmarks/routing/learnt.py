"""Fifty learnt messages: what their texts bring on prompts that were not learnt, the thresholds being as before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.evidence_file import RouterEvidence
from adaptrix_core.routing.signals.learnt_messages import LearntMessage
from benchmarks.routing.comparison import calibrated
from benchmarks.routing.labels import right

LEARNT = 50
DRAWS = 10
COMPARED: Mapping[str, Mapping[str, float]] = {
    "classifier": {"classifier": 1.0},
    "tasks": {"tasks": 1.0},
    "embedding + tasks (built in)": {"embedding": 0.5, "tasks": 0.5},
}


def run_learnt(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Recall and the base's share before and after, means of draws; and the same after labels that are all false."""
    rows = prompts.rewordings()
    outside = [Labelled(text, None) for text in prompts.out_of_scope("test")]
    names = [card.name for card in cards if card.examples]
    result: dict[str, object] = {}
    for called, weights in COMPARED.items():
        before = calibrated(embedder, cards, weights)
        columns = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(rows))
            learnt = [rows[place] for place in order[:LEARNT]]
            kept = [rows[place] for place in order[LEARNT:]]
            after = taught(before, cards, learnt)
            sets = [[row for row in kept if row.adapter is not None], [row for row in kept if row.adapter is None]]
            sets += [outside, list(prompts.kept())]
            columns.append([right(router, asked, {}) for asked in sets for router in (before, after)])
        result[called] = _shown(called, np.array(columns))
        false = [Labelled(row.prompt, names[place % len(names)]) for place, row in enumerate(outside[:LEARNT])]
        misled = taught(before, cards, false)
        share = right(misled, outside[LEARNT:], {})
        print(f"{called:30} {LEARNT} false ones: base share, out of scope, {share:.3f}")
    return {"learnt": LEARNT, "draws": DRAWS, **result}


def taught(router: SemanticRouter, cards: Sequence[RouteCard], learnt: Sequence[Labelled]) -> SemanticRouter:
    """The same router after it has learnt these messages."""
    evidence = RouterEvidence().with_learnt([LearntMessage(row.prompt, row.adapter) for row in learnt])
    return SemanticRouter(router.embedder, evidence.on(cards), router.calibration)


def _shown(called: str, values: np.ndarray) -> dict[str, object]:
    named = ("recall", "base share, same subjects", "base share, out of scope", "kept questions right")
    shown: dict[str, object] = {}
    for place, name in enumerate(named):
        before, after = values[:, 2 * place], values[:, 2 * place + 1]
        error = float((after - before).std(ddof=1)) / DRAWS**0.5
        print(f"{called:30} {name:28} {before.mean():.3f} -> {after.mean():.3f}  (SE of the change {error:.3f})")
        shown[name] = {"before": round(before.mean(), 4), "after": round(after.mean(), 4), "se": round(error, 4)}
    return shown
