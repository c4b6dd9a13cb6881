"""The classifier signal: one regression per adapter, against the background, all other adapters, and labelled messages.

It learns from examples and from messages that somebody has labelled (`RouteCard.labelled_right`, ``labelled_wrong``);
a message may belong to several adapters. A fitted classifier is kept in the cache directory under its version, a digest
of all that it was fitted on. Knows cards and embeddings.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.replaced_file import replaced_file
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage, Vectors

logger = logging.getLogger(__name__)

INVERSE_PENALTY = 3.0
"""``C`` of the regressions; more than the embedding signal's, as there are more texts to learn from."""
_FORM = "1"
"""Changes with the way of fitting, so that no older file is taken for a new one."""


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """A classifier over one catalogue."""

    names: tuple[str, ...]
    weights: Vectors
    """``(adapters, dimension)``"""
    intercepts: Vectors
    """``(adapters,)``"""
    version: str
    """Digest of what it was fitted on: equal texts, labels and embedder, equal version."""

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """See `FittedSignal`."""
        if message.embedding is None:
            return {}
        margins = np.vecdot(self.weights, message.embedding) + self.intercepts
        return dict(zip(self.names, margins.tolist(), strict=True))

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """See `FittedSignal`."""
        return f"classifier {self.version[:8]} tells it from the others" if adapter in self.names else ""

    def save(self, file: Path) -> None:
        """Write the file that `load_classifier` reads, in one step."""
        with replaced_file(file) as out:
            np.savez(out, names=np.array(self.names), weights=self.weights, intercepts=self.intercepts)


def load_classifier(file: Path, version: str, names: Sequence[str], dimension: int) -> FittedClassifier | None:
    """The classifier in ``file``; None where there is none of these names and this dimension."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            weights, intercepts = kept["weights"].astype(np.float32), kept["intercepts"].astype(np.float32)
            sound = tuple(kept["names"].tolist()) == tuple(names) and weights.shape == (len(names), dimension)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    finite = (
        sound
        and intercepts.shape == (len(names),)
        and bool(np.isfinite(weights).all() and np.isfinite(intercepts).all())
    )
    return FittedClassifier(tuple(names), weights, intercepts, version) if finite else None


class ClassifierSignal:
    """Fits the classifier in seconds, or takes the one that is kept."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder

    def fit(self, cards: Sequence[RouteCard]) -> FittedClassifier:
        """See `RouterSignal`."""
        told = [card for card in cards if card.texts or card.labelled_right]
        names = tuple(card.name for card in told)
        version = self._version(told)
        file = cache_root() / "routing" / "classifiers" / f"{version}.npz"
        if (kept := load_classifier(file, version, names, self._embedder.dimension)) is not None:
            return kept
        fitted = self._fit(told, version)
        try:
            fitted.save(file)
        except OSError as error:
            logger.warning("the router's classifier is not kept: %s", error)
        return fitted

    def _version(self, cards: Sequence[RouteCard]) -> str:
        read = (
            _FORM,
            INVERSE_PENALTY,
            self._embedder.source,
            self._embedder.dimension,
            prompts.background(),
            tuple(cards),
        )
        return sha256(repr(read).encode("utf-8", "backslashreplace")).hexdigest()

    def _fit(self, cards: Sequence[RouteCard], version: str) -> FittedClassifier:
        from sklearn.linear_model import LogisticRegression

        background = self._embedder.embed(prompts.background())
        own = [self._embedder.embed([*card.texts, *card.labelled_right]) for card in cards]
        weights = np.empty((len(cards), self._embedder.dimension), np.float32)
        intercepts = np.empty(len(cards), np.float32)
        for place, card in enumerate(cards):
            others = [rows for at, rows in enumerate(own) if at != place]
            wrong = self._embedder.embed(card.labelled_wrong)
            rows = np.concatenate([own[place], background, wrong, *others])
            labels = np.arange(len(rows)) < len(own[place])
            shares = _shares(len(own[place]), [len(background) + len(wrong), sum(map(len, others))])
            model = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(rows, labels, sample_weight=shares)
            weights[place], intercepts[place] = model.coef_[0], model.intercept_[0]
        return FittedClassifier(tuple(card.name for card in cards), weights, intercepts, version)


def _shares(own: int, against: Sequence[int]) -> Vectors:
    """Weights of the rows: an adapter's own count as much as all others, and each kind of others alike."""
    kinds = [count for count in against if count]
    total = own + sum(kinds)
    parts = [np.full(own, total / 2 / own), *(np.full(count, total / 2 / len(kinds) / count) for count in kinds)]
    return np.concatenate(parts).astype(np.float32)
