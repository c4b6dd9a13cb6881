"""A router signal: words that adapters name in their descriptions and examples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage

_SHORTEST = 5
"""Shorter words say little on their own."""


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) >= _SHORTEST}


class FittedOwnWords:
    """The words that only one adapter names."""

    def __init__(self, words: Mapping[str, set[str]]) -> None:
        self._words = words

    def log_odds(self, message: RoutedMessage) -> dict[str, float]:
        """One half for each word of the adapter's own."""
        said = _words(message.text)
        return {name: 0.5 * len(words & said) for name, words in self._words.items()}

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """The words that were found."""
        found = sorted(self._words.get(adapter, set()) & _words(message.text))
        return f"named by its words {', '.join(found)}" if found else ""


class OwnWordsSignal:
    """Counts the words of a message that only one adapter names."""

    needs_embedder = False

    def __init__(self, embedder: TextEmbedder | None) -> None:
        pass

    def fit(self, cards: Sequence[RouteCard]) -> FittedOwnWords:
        """Find each adapter's own words."""
        words = {card.name: _words(" ".join(card.texts)) for card in cards}
        own = {
            name: its - set().union(*(others for other, others in words.items() if other != name))
            for name, its in words.items()
        }
        return FittedOwnWords(own)
