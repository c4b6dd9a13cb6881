"""The keyword signal: the words of an adapter's rule that a message holds, weighted by how rare they are.

It needs no embedding model and no torch, so it decides where nothing else can. Knows words and cards. Does not know
what is decided by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.words.keyword_rules import LONGEST_PHRASE, derived_rules, rule_of
from adaptrix_core.routing.words.tokens import tokens

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from adaptrix_core.routing.embedder import TextEmbedder

_SHOWN = 5
"""Most keywords that a reason names."""

SHORTEST = 16
"""Tokens up to which the length of a text does not count."""

INVERSE_PENALTY = 1.0
"""``C`` of the regressions from keyword strength to log-odds."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Rules:
    """The rules of a catalogue: their words, and whose each is."""

    names: tuple[str, ...]
    vectors: TfidfVectorizer
    """Gives each word of any rule its weight in a text: how often it stands there, times its inverse document
    frequency in all adapters' texts and the background."""
    owned: NDArray[np.float64]
    """``(words, adapters)``: 1 where the word is of the adapter's rule."""

    def strengths(self, texts: Sequence[str]) -> Numbers:
        """``(texts, adapters)``: log(1 + the summed TF-IDF weights of the rule's words, over the root of the length).

        The root, because a long text holds some words of any rule; by the length itself, long questions are lost.
        """
        lengths = np.array([max(len(tokens(text)), SHORTEST) for text in texts])[:, None]
        return np.asarray(
            np.log1p((self.vectors.transform(texts) @ self.owned) / np.sqrt(lengths / SHORTEST)), np.float64
        )


class FittedKeywords:
    """The rules of a catalogue, and the scale from each one's strength to log-odds."""

    def __init__(self, rules: _Rules | None, slopes: Numbers, intercepts: Numbers) -> None:
        self._rules = rules
        self._slopes = slopes
        self._intercepts = intercepts

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """See `FittedSignal`."""
        if self._rules is None:
            return {}
        odds = self._rules.strengths([message.text])[0] * self._slopes + self._intercepts
        return dict(zip(self._rules.names, odds.tolist(), strict=True))

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """See `FittedSignal`: the adapter's keywords in the message, the weightiest first."""
        if self._rules is None or adapter not in self._rules.names:
            return ""
        weights = self._rules.vectors.transform([message.text]).toarray()[0]
        weights = weights * self._rules.owned[:, self._rules.names.index(adapter)]
        words = self._rules.vectors.get_feature_names_out()
        found = [words[place] for place in np.argsort(-weights, kind="stable")[:_SHOWN] if weights[place] > 0]
        return f"its keywords {', '.join(map(repr, found))}" if found else ""


class KeywordSignal:
    """Weighs the words of each adapter's rule; an adapter without a rule gets one of its own texts' words."""

    needs_embedder = False

    def __init__(self, embedder: TextEmbedder | None) -> None:
        self._background = prompts.background()

    def fit(self, cards: Sequence[RouteCard]) -> FittedKeywords:
        """See `RouterSignal`: milliseconds for some adapters, about a second for hundreds."""
        told = [card for card in cards if card.texts]
        derived = derived_rules([card for card in told if not rule_of(card)], self._background)
        words = {card.name: rule_of(card) or derived.get(card.name, ()) for card in told}
        ruled = [card for card in told if words[card.name]]
        if not ruled:
            return FittedKeywords(None, np.empty(0), np.empty(0))
        rules = _rules(ruled, words, self._background)
        strengths = rules.strengths([*(text for card in ruled for text in card.texts), *self._background])
        owners = np.array([place for place, card in enumerate(ruled) for _ in card.texts])
        scales = [
            _scale(strengths[: len(owners), place][owners == place], strengths[len(owners) :, place])
            for place in range(len(ruled))
        ]
        return FittedKeywords(rules, np.array([slope for slope, _ in scales]), np.array([of for _, of in scales]))


def _rules(cards: Sequence[RouteCard], words: Mapping[str, Sequence[str]], background: Sequence[str]) -> _Rules:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vocabulary = {
        word: place for place, word in enumerate(dict.fromkeys(w for card in cards for w in words[card.name]))
    }
    vectors = TfidfVectorizer(
        tokenizer=tokens,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, LONGEST_PHRASE),
        vocabulary=vocabulary,
        sublinear_tf=True,
        norm=None,
    )
    vectors.fit([*(text for card in cards for text in card.texts), *background])
    owned = np.zeros((len(vocabulary), len(cards)))
    for column, card in enumerate(cards):
        owned[[vocabulary[word] for word in words[card.name]], column] = 1.0
    return _Rules(tuple(card.name for card in cards), vectors, owned)


def _scale(inside: Numbers, outside: Numbers) -> tuple[float, float]:
    """(slope, intercept) from strength to log-odds, both kinds taken as equally frequent; never a falling slope."""
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([inside, outside])[:, None]
    labels = np.repeat([1, 0], [len(inside), len(outside)])
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced").fit(rows, labels)
    slope = float(model.coef_[0, 0])
    return (slope, float(model.intercept_[0])) if slope > 0 else (0.0, 0.0)
