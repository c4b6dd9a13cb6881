"""Keyword rules: the words and phrases that speak for an adapter, from the settings, its metadata, or our lists.

Knows words. Does not know how much each counts (`signals/keywords.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np

from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.words.tokens import tokens

LIST_SIGN = "@"
"""Marks the name of one of our lists in a rule: ``@math`` stands for all words of the list ``math``."""

LISTS_OF_SHIPPED: Mapping[str, str] = {
    "math_reasoning": "@math",
    "code_generation": "@code",
    "logical_reasoning": "@reasoning",
}
"""Our list for each shipped adapter, for a card of it without examples."""

DERIVED = 100
"""Most words that are taken from an adapter's description and examples where it has no rule. They tell the held-out
prompts apart better than our lists do: docs/routing.md has the figures."""

LONGEST_PHRASE = 4
"""Most tokens of a keyword."""


@cache
def keyword_lists() -> Mapping[str, tuple[str, ...]]:
    """Our lists by name: ``math``, ``code``, ``reasoning``."""
    read = json.loads(files("adaptrix_core.routing").joinpath("data", "keywords.json").read_text(encoding="utf-8"))
    return {name: tuple(words) for name, words in read.items()}


def expanded(rule: Sequence[str]) -> tuple[str, ...]:
    """The phrases of a rule as tokens between single spaces, each once, with our lists in place of their names.

    A name of no list is taken as the words that it is made of. Phrases that are empty or too long are left out.
    """
    lists = keyword_lists()
    phrases: list[str] = []
    for item in rule:
        named = lists.get(item.removeprefix(LIST_SIGN)) if item.startswith(LIST_SIGN) else None
        phrases.extend(named if named is not None else (item,))
    split = [tokens(phrase) for phrase in phrases]
    return tuple(dict.fromkeys(" ".join(words) for words in split if 0 < len(words) <= LONGEST_PHRASE))


def rule_of(card: RouteCard) -> tuple[str, ...]:
    """The rule that an adapter has: its own, or our list for a shipped one without examples; empty for any other."""
    if card.keywords:
        return expanded(card.keywords)
    return expanded([LISTS_OF_SHIPPED[card.name]]) if card.name in LISTS_OF_SHIPPED and not card.examples else ()


def derived_rules(cards: Sequence[RouteCard], background: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By adapter, the words that its own texts hold more of (TF-IDF) than the background and the other adapters do."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not cards:
        return {}
    owners = [index for index, card in enumerate(cards) for _ in card.texts]
    texts = [text for card in cards for text in card.texts]
    vectors = TfidfVectorizer(tokenizer=tokens, token_pattern=None, lowercase=False, sublinear_tf=True)
    rows = vectors.fit_transform([*texts, *background])
    words = vectors.get_feature_names_out()
    labels = np.array([*owners, *[-1] * len(background)])
    rules = {}
    for index, card in enumerate(cards):
        lead = np.asarray(rows[labels == index].mean(axis=0) - rows[labels != index].mean(axis=0)).ravel()
        best = np.argsort(-lead, kind="stable")[:DERIVED]
        rules[card.name] = tuple(words[place] for place in best if lead[place] > 0)
    return rules
