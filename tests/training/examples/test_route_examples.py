"""Routing examples from training data: different ones, the same each time, and enough to be routed by."""

from __future__ import annotations

import pytest

from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.route_examples import LONGEST, route_examples
from adaptrix_core.training.tasks.math import ChainSum, LegCounting


def pairs(questions: list[str]) -> list[LearntConversation]:
    return [LearntConversation.of_pair(question, "yes") for question in questions]


SUMS, LEGS = (
    [problem.question for problem in task.make_problems(seed=5, count=60)] for task in (ChainSum(), LegCounting())
)


def test_they_are_of_every_kind_that_the_data_has() -> None:
    found = route_examples(pairs([*SUMS, *LEGS]), 8)
    assert len(set(found)) == 8
    assert set(found) & set(SUMS)
    assert set(found) & set(LEGS)
    assert found == route_examples(pairs([*SUMS, *LEGS]), 8)


@pytest.mark.parametrize("number", [0, -1])
def test_none_are_made_where_none_are_wanted(number: int) -> None:
    assert route_examples(pairs(SUMS), number) == ()


def test_few_questions_are_all_taken_once_and_long_ones_left_out() -> None:
    assert route_examples(pairs(["a sum", "a sum", " ", "x" * (LONGEST + 1)]), 8) == ("a sum",)
    two_turns = LearntConversation(
        ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}),
        {"role": "assistant", "content": "d"},
    )
    assert route_examples([two_turns], 8) == ()
    assert route_examples([], 8) == ()


def test_an_adapter_is_found_by_them() -> None:
    card = RouteCard("sums", "", route_examples(pairs(SUMS), 16))
    router = SemanticRouter(None, [card])
    asked = [problem.question for problem in ChainSum().make_problems(seed=77, count=10)]
    assert all(router.decide([{"role": "user", "content": text}]).adapter == "sums" for text in asked)
    assert router.decide([{"role": "user", "content": "Who painted the Mona Lisa?"}]).adapter is None
