"""Scores how much more a text resembles one set of examples than another.

A regularised logistic regression on embeddings, fitted in milliseconds whenever a set of examples arrives. It is a
learned cosine similarity: the vectors have length 1, so a margin is the cosine to one direction, scaled and shifted. It
beats the cosine to the nearest examples, with or without a background class: ``python -m benchmarks.routing methods``
prints the comparison. Knows vectors only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptrix_core.routing.message import Vectors

INVERSE_PENALTY = 1.0
"""``C`` of the regression: strong enough that a handful of examples does not overfit in 384 dimensions."""


@dataclass(frozen=True, eq=False)
class LinearScorer:
    """A direction in embedding space, and its offset."""

    weights: Vectors
    """``(dimension,)``"""
    intercept: float

    def margins(self, rows: Vectors) -> Vectors:
        """``(n, dimension)`` -> ``(n,)``: log-odds of the examples against the rest, both taken as equally frequent."""
        return np.asarray(rows @ self.weights + self.intercept, np.float32)


def fit_scorer(examples: Vectors, others: Vectors) -> LinearScorer:
    """Separate ``examples`` from ``others``, ``(n, dimension)`` each, n at least 1, with equal total weights."""
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([examples, others])
    labels = np.repeat([1, 0], [len(examples), len(others)])
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=2000).fit(rows, labels)
    return LinearScorer(model.coef_[0].astype(np.float32), float(model.intercept_[0]))
