"""Ways of scoring how near a text is to an adapter's examples, compared: why the router's scorer is what it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import OUT_OF_SCOPE_TO_BASE, lowest_that_rejects
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.scorer import fit_scorer

Scores = Callable[[Vectors, Vectors], Vectors]
"""(queries, examples of one adapter) -> one score per query."""


def methods(background: Vectors) -> dict[str, Scores]:
    """The ways of scoring that were considered."""

    def nearest(queries: Vectors, texts: Vectors, k: int) -> Vectors:
        scores: Vectors = np.sort(queries @ texts.T, axis=1)[:, -k:].mean(axis=1)
        return scores

    return {
        "cosine to the nearest example": lambda q, e: nearest(q, e, 1),
        "mean cosine of the nearest 3": lambda q, e: nearest(q, e, 3),
        "... minus the background's nearest": lambda q, e: nearest(q, e, 1) - nearest(q, background, 1),
        "... minus the background's nearest 3": lambda q, e: nearest(q, e, 3) - nearest(q, background, 3),
        "logistic regression (the router's)": lambda q, e: fit_scorer(e, background).margins(q),
    }


def run_methods(cards: tuple[RouteCard, ...], embedder: TextEmbedder) -> dict[str, object]:
    """For each way of scoring: a threshold from the calibration prompts, then recall and rejection on both splits."""
    examples = {card.name: embedder.embed(card.texts) for card in cards}
    names = list(examples)
    splits = {
        "calibration": [(row.prompt, row.adapter or "") for row in prompts.in_scope_calibration()],
        "test": [(row.prompt, row.family) for row in prompts.paraphrases()],
    }
    inside = {
        split: (embedder.embed([p for p, _ in rows]), [names.index(a) for _, a in rows])
        for split, rows in splits.items()
    }
    outside = {
        "calibration": embedder.embed(prompts.out_of_scope("calibration")),
        "test": embedder.embed(prompts.out_of_scope("test")),
    }
    print(f"{'':38} calibration: recall  to base | test: recall  to base")
    result: dict[str, object] = {}
    for name, score in methods(embedder.embed(prompts.background())).items():

        def scored(queries: Vectors, score: Scores = score) -> Vectors:
            return np.stack([score(queries, texts) for texts in examples.values()], axis=1)

        rows, wanted = inside["calibration"]
        right = scored(rows)[np.arange(len(wanted)), wanted]
        threshold = lowest_that_rejects(right, scored(outside["calibration"]).max(axis=1), OUT_OF_SCOPE_TO_BASE)
        line = []
        for split, (queries, owners) in inside.items():
            values = scored(queries)
            recall = float(((values.argmax(axis=1) == owners) & (values.max(axis=1) >= threshold)).mean())
            line += [recall, float((scored(outside[split]).max(axis=1) < threshold).mean())]
        print(f"{name:38} {line[0]:19.3f} {line[1]:8.3f} | {line[2]:12.3f} {line[3]:8.3f}")
        result[name] = [round(value, 4) for value in line]
    return {"columns": ["calibration recall", "calibration base", "test recall", "test base"], "rows": result}
