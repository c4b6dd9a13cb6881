"""Relevance by rare words needs no model; both give every exchange a number."""

from __future__ import annotations

import numpy as np
import pytest

from adaptrix_core.context.memory.exchanges import Exchange
from adaptrix_core.context.memory.relevance import RelevanceByMeaning, RelevanceByWords


def exchange(question: str, answer: str = "I see.") -> Exchange:
    return Exchange(({"role": "user", "content": question}, {"role": "assistant", "content": answer}))


EARLIER = [exchange("My dog is called Biscuit."), exchange("What is 3 + 4?", "7"), exchange("Tell me a joke.")]


def test_words_in_common_count() -> None:
    scores = RelevanceByWords().of("What is my dog called?", EARLIER)
    assert len(scores) == 3
    assert max(scores) == scores[0] > 0.3


def test_words_of_an_answer_count_too() -> None:
    earlier = [exchange("Name a planet."), exchange("Name a fruit.", "A pomegranate is one.")]
    scores = RelevanceByWords().of("Where do pomegranates grow?", earlier)
    assert scores[1] > scores[0]


@pytest.mark.parametrize("question", ["", "   ", "🙂", "x" * 100_000, "日本語の質問ですか"])
def test_any_question_gets_numbers(question: str) -> None:
    scores = RelevanceByWords().of(question, [*EARLIER, exchange("", "")])
    assert len(scores) == 4
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_nothing_earlier_is_nothing_relevant() -> None:
    assert RelevanceByWords().of("?", []) == []
    assert RelevanceByMeaning(lambda texts: np.zeros((len(texts), 2), np.float32)).of("?", []) == []


def test_by_meaning_the_nearer_of_question_and_answer_counts() -> None:
    vectors = {"q": [1.0, 0.0], "far": [0.0, 1.0], "near": [0.8, 0.6]}
    relevance = RelevanceByMeaning(lambda texts: np.array([vectors[text] for text in texts], np.float32))
    scores = relevance.of("q", [exchange("far", "near"), exchange("near", "far"), exchange("far", "far")])
    assert scores == pytest.approx([0.8, 0.8, 0.0])
