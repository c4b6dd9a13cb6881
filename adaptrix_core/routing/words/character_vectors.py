"""Vectors of texts by their characters, for a router without an embedding model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptrix_core.routing.message import Vectors

DIMENSION = 4096
"""Most character sequences that count: the most frequent ones of the texts that the vectors were made for."""


class CharacterVectors:
    """TF-IDF of sequences of 2 to 4 characters inside words, in unit vectors."""

    def __init__(self, texts: Sequence[str]) -> None:
        """texts: those that say which sequences there are, and how rare each is."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectors = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), max_features=DIMENSION, sublinear_tf=True, dtype=np.float32
        )
        self._vectors.fit(texts)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """``(len(texts), sequences)`` float32 rows of length 1; zeros for a text of unknown sequences alone."""
        return np.asarray(self._vectors.transform(texts).toarray(), np.float32)
