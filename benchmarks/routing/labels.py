"""Fifty labels, right and false: what they change on prompts that were not labelled."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.semantic import SemanticRouter

LABELS = 50
DRAWS = 40
OWNER = b"benchmark"


def run_feedback(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """Recall and the base's share before and after, mean of draws; and what an attacker's false labels change."""
    router = SemanticRouter(embedder, cards)
    rows = prompts.rewordings()
    outside = [Labelled(text, None) for text in prompts.out_of_scope("test")]
    paraphrases = [Labelled(row.prompt, row.family) for row in prompts.paraphrases()]
    columns = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(rows))
        accepts = labelled(router, [rows[place] for place in order[:LABELS]])
        kept = [rows[place] for place in order[LABELS:]]
        inside, near = ([row for row in kept if (row.adapter is None) == to_base] for to_base in (False, True))
        columns.append([right(router, asked, t) for asked in (inside, outside, near) for t in ({}, accepts)])
    values = np.array(columns)
    named = ("recall", "base share", "base share, same subjects")
    result: dict[str, object] = {}
    for place, name in enumerate(named):
        before, after = values[:, 2 * place], values[:, 2 * place + 1]
        error = float((after - before).std(ddof=1)) / DRAWS**0.5
        print(f"{name:28} {before.mean():.3f} -> {after.mean():.3f}  (SE of the change {error:.3f})")
        result[name] = {"before": round(before.mean(), 4), "after": round(after.mean(), 4), "se": round(error, 4)}
    print(f"least base share of any draw {values[:, 3].min():.3f}")
    wrong = {
        "every prompt is an adapter's": [Labelled(row.prompt, "") for row in outside[:LABELS]],
        "no prompt is an adapter's": [Labelled(row.prompt, None) for row in paraphrases[:LABELS]],
    }
    for name, false in wrong.items():
        accepts = labelled(router, false)
        shares = [right(router, asked, accepts) for asked in (paraphrases, outside)]
        print(f"{LABELS} false labels, {name:30} recall {shares[0]:.3f}, base share {shares[1]:.3f}")
        result[name] = {"recall": round(shares[0], 4), "base share": round(shares[1], 4)}
    plain = [right(router, asked, {}) for asked in (paraphrases, outside)]
    print(f"{'without labels':47} recall {plain[0]:.3f}, base share {plain[1]:.3f}")
    return {"draws": DRAWS, "labels": LABELS, **result}


def labelled(router: SemanticRouter, rows: Sequence[Labelled]) -> Mapping[str, float]:
    """The thresholds after these labels; an empty name stands for the adapter with the best margin."""
    with tempfile.TemporaryDirectory() as directory:
        thresholds = AdaptiveThresholds(router, Path(directory))
        for row in rows:
            decision = router.decide([{"role": "user", "content": row.prompt}])
            best = max(decision.margins, key=lambda name: decision.margins[name])
            thresholds.label(OWNER, decision, best if row.adapter == "" else row.adapter)
        return dict(thresholds.of(OWNER))


def right(router: SemanticRouter, rows: Sequence[Labelled], accepts: Mapping[str, float]) -> float:
    """Share of ``rows`` that the right adapter, or rightly the base, gets under these thresholds."""
    decided = (router.decide([{"role": "user", "content": row.prompt}], accepts=accepts) for row in rows)
    return float(np.mean([made.adapter == row.adapter for made, row in zip(decided, rows, strict=True)]))
