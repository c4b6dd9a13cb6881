"""Choose the router's thresholds on labelled prompts.

Knows the rule's numbers and the goal of each. Reads calibration prompts only, never those that results are reported on.
The command is ``python -m benchmarks.routing calibrate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.errors import ConfigError
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.prompts import Labelled, Turn
from adaptrix_core.routing.semantic import SemanticRouter

OUT_OF_SCOPE_TO_BASE = 0.97
"""Least share of the out-of-scope calibration prompts that goes to the base; on held-out ones the goal is 0.95."""
MOVES_NOTICED = 0.95
"""Least share of changed topics that leave the previous adapter."""
SWITCHES_ALLOWED = 0.97
"""Least share of the prompts for another adapter whose lead is large enough to take a conversation over."""
COURTESIES = ("Please: {}", "Hello! {}", "{} Thank you.")
"""Phrases around a message that do not change its meaning."""
MOVED_LESS = 0.9
"""Least share of the courtesies that move the lead of one adapter over another by less than ``tie``."""
TIES_RIGHT = 0.99
"""Least share of the prompts for one adapter whose lead over every other still exceeds ``tie``."""

Numbers = NDArray[np.floating]


def calibrate(
    router: SemanticRouter, in_scope: Sequence[Labelled], out_of_scope: Sequence[str], conversations: Sequence[Turn]
) -> Calibration:
    """Thresholds for ``router``'s catalogue; prompts for adapters that are not in it are left out.

    Raises ConfigError where nothing is left to calibrate with.
    """
    names = {card.name for card in router.catalogue if card.texts}
    wanted = [row for row in in_scope if row.adapter in names]
    turns = [turn for turn in conversations if turn.adapter in names]
    if not wanted or not turns:
        asked = sorted({str(row.adapter) for row in in_scope})
        raise ConfigError([f"no calibration prompt is for any of {sorted(names)}; they are for {asked}"])
    # Embedded once, in batches: later steps find the vectors in the embedder's cache.
    texts = [*out_of_scope, *(text for turn in turns for text in (turn.first, turn.then))]
    router.messages(texts)
    inside = router.margins([row.prompt for row in wanted])
    right = np.array([inside[row.adapter or ""][i] for i, row in enumerate(wanted)])
    best_outside = np.max(list(router.margins(out_of_scope).values()), axis=0)
    leads = [right[i] - inside[name][i] for i, row in enumerate(wanted) for name in names if name != row.adapter]
    kept, moved = _stay_margins(router, turns, out_of_scope)
    slope, intercept = _platt(right, best_outside)
    return Calibration(
        accept=lowest_that_rejects(right, best_outside, OUT_OF_SCOPE_TO_BASE),
        stay=lowest_that_rejects(kept, moved, MOVES_NOTICED),
        lead=max(0.0, float(np.quantile(leads, 1 - SWITCHES_ALLOWED))) if leads else 0.0,
        tie=_tie(router, [row.prompt for row in wanted], np.array(leads)),
        slope=slope,
        intercept=intercept,
        embedder=None if router.embedder is None else router.embedder.source,
        signals=dict(router.signals),
    )


def _stay_margins(
    router: SemanticRouter, turns: Sequence[Turn], out_of_scope: Sequence[str]
) -> tuple[Numbers, Numbers]:
    """Margins plus continuity towards the previous adapter: (of follow-ups, of turns that change the topic)."""
    going_on = [turn for turn in turns if turn.same_topic]
    # Every out-of-scope prompt is a change of topic, whatever was said before: each after three different first turns.
    changes = [turn for turn in turns if not turn.same_topic] + [
        Turn(first.adapter, first.first, prompt, same_topic=False)
        for index, prompt in enumerate(out_of_scope)
        for first in (going_on[(3 * index + step * 7) % len(going_on)] for step in range(3))
    ]

    def value(turn: Turn) -> float:
        return float(router.margins([turn.then])[turn.adapter][0]) + router.continuity(turn.then, [turn.first])

    return np.array([value(turn) for turn in going_on]), np.array([value(turn) for turn in changes])


def _tie(router: SemanticRouter, asked: Sequence[str], leads: Numbers) -> float:
    """The distance of two margins that may be chance: as far as courtesies move them."""
    if not len(leads):
        return 0.0

    def differences(texts: Sequence[str]) -> Numbers:
        margins = np.stack(list(router.margins(texts).values()))
        return np.stack([a - b for a, b in combinations(margins, 2)])

    plain = differences(asked)
    moved = [np.abs(differences([form.format(text) for text in asked]) - plain) for form in COURTESIES]
    return max(0.0, min(float(np.quantile(moved, MOVED_LESS)), float(np.quantile(leads, 1 - TIES_RIGHT))))


def lowest_that_rejects(wanted: Numbers, unwanted: Numbers, share: float) -> float:
    """Of the thresholds that reject ``share`` of ``unwanted``, the one that keeps most of ``wanted``.

    It lies in the middle of the gap around it, equally far from the values on both sides.
    """
    values = np.unique(np.concatenate([wanted, unwanted]))
    gaps = np.concatenate([[values[0] - 1.0], (values[:-1] + values[1:]) / 2, [values[-1] + 1.0]])
    allowed = [gap for gap in gaps if (unwanted < gap).mean() >= share]
    most = max((wanted >= gap).mean() for gap in allowed)
    equals = [gap for gap in allowed if (wanted >= gap).mean() == most]
    return float(equals[len(equals) // 2])


def _platt(inside: Numbers, outside: Numbers) -> tuple[float, float]:
    """Slope and intercept from margin to the probability of being in scope, both kinds taken as equally frequent."""
    from sklearn.linear_model import LogisticRegression

    margins = np.concatenate([inside, outside])[:, None]
    labels = np.repeat([1, 0], [len(inside), len(outside)])
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(margins, labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def with_provenance(calibration: Calibration, cards: Sequence[RouteCard], router: SemanticRouter) -> Calibration:
    """The same numbers with their provenance: cards, prompt files, requirements."""
    best_outside = np.max(list(router.margins(prompts.out_of_scope("calibration")).values()), axis=0)
    return calibration.model_copy(
        update={
            "provenance": {
                "command": "python -m benchmarks.routing calibrate",
                "date": datetime.now(UTC).date().isoformat(),
                "cards": {card.name: len(card.examples) for card in cards},
                "prompt_files_sha256": prompts.file_digests(),
                "required": {"out_of_scope_to_base": OUT_OF_SCOPE_TO_BASE, "moves_noticed": MOVES_NOTICED},
                "out_of_scope_to_base": round(float((best_outside < calibration.accept).mean()), 4),
            }
        }
    )
