"""What other weights of the signals would cost as the built-in ones: on other catalogues than the thresholds were
chosen for, at thresholds that an operator sets, in time, and in conversations.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.evaluation import measure
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.semantic import SemanticRouter
from benchmarks.routing.comparison import calibrated, held_out_sets
from benchmarks.routing.topic_set import topics

TRIED: Mapping[str, Mapping[str, float]] = {
    "embedding": {"embedding": 1.0},
    "embedding + tasks": {"embedding": 0.5, "tasks": 0.5},
}
"""The weights that are compared, each with thresholds chosen for it on the calibration prompts by the same rule."""
DRAWS = 10
"""Draws of examples for each number of them."""
SCORES = (0.3, 0.5, 0.7, 0.9)
"""Values of ``router.threshold``."""
FITTED = (3, 30, 150)
"""Numbers of adapters at which one of them changes."""
TIMES = 100
"""Decisions that are timed."""

Shares = tuple[float, float, float]
"""Recall, the base's share, AUROC."""


def run_default_weights(cards: Sequence[RouteCard], embedder: TextEmbedder) -> dict[str, object]:
    """One table a question; the thresholds of each row are those for ``cards``."""
    routers = {name: calibrated(embedder, cards, weights) for name, weights in TRIED.items()}
    return {
        "sets": _sets(routers),
        "thresholds": _thresholds(routers, cards),
        "milliseconds": _milliseconds(routers, embedder),
        "catalogues": _catalogues(routers, [card for card in cards if card.examples]),
    }


def _sets(routers: Mapping[str, SemanticRouter]) -> dict[str, object]:
    """Held-out prompts and conversations, and the prompts on which the two differ."""
    asked = held_out_sets()
    result: dict[str, object] = {}
    for name, router in routers.items():
        shown = {called: (int(_right(router, rows).sum()), len(rows)) for called, rows in asked.items()}
        shown |= {tally.name: (tally.right, tally.total) for tally in measure(router) if ":" in tally.name}
        print(f"{name}: " + ", ".join(f"{called} {good} of {total}" for called, (good, total) in shown.items()))
        result[name] = shown
    for called, rows in asked.items():
        before, after = (_right(router, rows) for router in routers.values())
        better, worse = int((after & ~before).sum()), int((before & ~after).sum())
        print(f"{called}: {better} decided rightly by the second alone, {worse} by the first alone")
        result[called] = {"better": better, "worse": worse}
    return result


def _catalogues(routers: Mapping[str, SemanticRouter], cards: Sequence[RouteCard]) -> dict[str, object]:
    """Recall and the base's share on catalogues for which no threshold was chosen; means over those of a row."""
    result: dict[str, object] = {}
    for called, catalogues in _other_catalogues(cards).items():
        for name, known in routers.items():
            asked = [(SemanticRouter(known.embedder, of, known.calibration), _prompts_for(of)) for of in catalogues]
            found = np.mean([_shares(router, *rows) for router, rows in asked], axis=0)
            result[f"{called}, {name}"] = _shown(f"{called:32} {name:18}", found)
    return result


def _other_catalogues(cards: Sequence[RouteCard]) -> dict[str, list[Sequence[RouteCard]]]:
    """By description, catalogues with some of ``cards``, with few examples, or among many others."""
    many = [RouteCard(topic.name, "", topic.examples) for topic in topics()]
    return {
        "the three": [cards],
        "one adapter": [[card] for card in cards],
        "two adapters": [list(pair) for pair in combinations(cards, 2)],
        "1 example each, no description": list(_with_few_examples(cards, 1)),
        "5 examples each, no description": list(_with_few_examples(cards, 5)),
        f"among {len(many)} others": [[*cards, *many]],
    }


def _with_few_examples(cards: Sequence[RouteCard], count: int) -> Iterator[Sequence[RouteCard]]:
    generator = np.random.default_rng(0)
    for _ in range(DRAWS):
        chosen = [generator.permutation(len(card.examples))[:count] for card in cards]
        yield [
            replace(card, description="", examples=tuple(card.examples[place] for place in places))
            for card, places in zip(cards, chosen, strict=True)
        ]


def _prompts_for(cards: Sequence[RouteCard]) -> tuple[list[Labelled], list[Labelled]]:
    """Held-out prompts for these adapters, and for the base; prompts for adapters that are absent are left out."""
    names = {card.name for card in cards}
    rows = [row for asked in held_out_sets().values() for row in asked]
    return [row for row in rows if row.adapter in names], [row for row in rows if row.adapter is None]


def _shares(router: SemanticRouter, wanted: Sequence[Labelled], others: Sequence[Labelled]) -> Shares:
    """Recall, the base's share, and how well the best margin tells the one from the other (AUROC)."""
    from sklearn.metrics import roc_auc_score

    margins = router.margins([row.prompt for row in (*wanted, *others)])
    best = np.max(list(margins.values()), axis=0)
    auroc = roc_auc_score(np.arange(len(best)) < len(wanted), best)
    return float(_right(router, wanted).mean()), float(_right(router, others).mean()), float(auroc)


def _shown(called: str, shares: Sequence[float]) -> dict[str, float]:
    recall, to_base, auroc = shares
    print(f"{called} recall {recall:.3f}, base share {to_base:.3f}, AUROC {auroc:.3f}", flush=True)
    return {"recall": round(recall, 4), "base": round(to_base, 4), "auroc": round(auroc, 4)}


def _thresholds(routers: Mapping[str, SemanticRouter], cards: Sequence[RouteCard]) -> dict[str, object]:
    """Recall and the base's share where an operator has set ``router.threshold``."""
    rows = _prompts_for(cards)
    result: dict[str, object] = {}
    for score in SCORES:
        for name, known in routers.items():
            router = SemanticRouter(known.embedder, cards, known.calibration.with_threshold(score))
            result[f"{score}, {name}"] = _shown(f"router.threshold {score}  {name:18}", _shares(router, *rows))
    return result


def _milliseconds(routers: Mapping[str, SemanticRouter], embedder: TextEmbedder) -> dict[str, object]:
    """Of a decision about an embedded prompt, the routers in turns; and of a catalogue in which one adapter changes."""
    texts = prompts.out_of_scope("test")[:TIMES]
    times: dict[str, list[float]] = {name: [] for name in routers}
    for text in texts:
        for name, router in routers.items():
            router.decide([{"role": "user", "content": text}])  # embeds it
            started = time.perf_counter()
            router.decide([{"role": "user", "content": text}])
            times[name].append(_since(started))
    result: dict[str, object] = {}
    for name, each in times.items():
        print(f"{name:20} decides about a known prompt in {statistics.median(each):.3f} ms (median)")
        result[name] = round(statistics.median(each), 4)
    many = [RouteCard(topic.name, "", topic.examples) for topic in topics()]
    for count in FITTED:
        catalogue, changed = many[:count], [replace(many[0], description="Another purpose."), *many[1:count]]
        embedder.embed([text for card in (*catalogue, *changed) for text in card.texts])
        for name, known in routers.items():
            router = SemanticRouter(embedder, catalogue, known.calibration)
            started = time.perf_counter()
            router.update(changed)
            spent = _since(started)
            print(f"{name:20} takes in one changed adapter of {count} in {spent:.0f} ms")
            result[f"{name}, {count}"] = round(spent, 1)
    return result


def _since(started: float) -> float:
    """Milliseconds."""
    return 1000 * (time.perf_counter() - started)


def _right(router: SemanticRouter, rows: Sequence[Labelled]) -> NDArray[np.bool_]:
    """``(rows,)``: whether each is decided rightly."""
    router.messages([row.prompt for row in rows])  # embedded in batches, and remembered
    made = [router.decide([{"role": "user", "content": row.prompt}]).adapter for row in rows]
    return np.array([adapter == row.adapter for adapter, row in zip(made, rows, strict=True)])
