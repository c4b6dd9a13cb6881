"""How relevant earlier exchanges are to a question: by meaning with an embedder, or by rare words without one.

Both give cosines between -1 and 1, larger where question and exchange have more in common, and each says from which
value on an exchange is clearly what the question asks for. Knows texts and vectors; does not know tokens or prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from adaptrix_core.context.memory.exchanges import Exchange

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

EXCERPT_CHARACTERS = 960
"""Characters of a text that are compared: about as much as the packaged embedder reads."""

MOST_CHARACTERS = 1 << 16
"""Characters that are compared by words in all, which takes about a tenth of a second."""


class Relevance(Protocol):
    """One way to tell how relevant exchanges are."""

    name: str
    recall_from: float
    """Relevance from which an exchange that was left out comes back (`selection.select`)."""

    def of(self, question: str, earlier: Sequence[Exchange]) -> list[float]:
        """The relevance of each exchange to ``question``, in order."""


class RelevanceByMeaning:
    """The cosine of embeddings: of the question to what the user said, or to what was answered, whichever is nearer."""

    name = "embedding"
    recall_from = 0.35
    """The lowest at which at most a third of the questions that ask for nothing earlier bring a turn back
    (`python -m benchmarks.memory bars`)."""

    def __init__(self, embed: Callable[[Sequence[str]], Vectors]) -> None:
        """embed: texts to unit vectors ``(texts, dimension)``, as `TextEmbedder.embed` does; known texts cost nothing
        there."""
        self._embed = embed

    def of(self, question: str, earlier: Sequence[Exchange]) -> list[float]:
        """See `Relevance`."""
        if not earlier:
            return []
        rows = self._embed([question[:EXCERPT_CHARACTERS], *compared_texts(earlier)])
        return nearest(rows[1:] @ rows[0])


class RelevanceByWords:
    """The cosine of TF-IDF vectors over parts of words: rare ones in common count most. Needs no model."""

    name = "words"
    recall_from = 0.15
    """The lowest at which at most a third of the questions that ask for nothing earlier bring a turn back
    (`python -m benchmarks.memory bars`)."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        """most_characters: of all texts together that are compared; of longer ones the beginnings are."""
        self._most_characters = most_characters

    def of(self, question: str, earlier: Sequence[Exchange]) -> list[float]:
        """See `Relevance`; 0 everywhere where the question has no words."""
        # Half a second to import, which only long conversations need.
        from sklearn.feature_extraction.text import TfidfVectorizer

        if not earlier:
            return []
        length = min(2 * EXCERPT_CHARACTERS, max(1, self._most_characters // len(earlier)))
        texts = [exchange.text[:length] for exchange in earlier]
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        try:
            rows = vectorizer.fit_transform([question[:EXCERPT_CHARACTERS], *texts])
        except ValueError:  # nothing in any text is a word
            return [0.0] * len(earlier)
        return [float(value) for value in (rows[1:] @ rows[0].T).toarray()[:, 0]]


def compared_texts(earlier: Sequence[Exchange]) -> list[str]:
    """Two texts for each exchange: its question, and what was answered."""
    texts = []
    for exchange in earlier:
        question = exchange.question
        answer = exchange.text[len(question) :].strip()
        texts += [question[:EXCERPT_CHARACTERS], answer[:EXCERPT_CHARACTERS] or question[:EXCERPT_CHARACTERS]]
    return texts


def nearest(cosines: Vectors) -> list[float]:
    """For `compared_texts`, the larger cosine of each pair."""
    return [float(value) for value in cosines.reshape(-1, 2).max(axis=1)]
