"""Votes: the answer most come to wins, whatever the working; ties go to the likelier one."""

from __future__ import annotations

import pytest

from adaptrix_core.composition.ballots import Ballot, winner_of
from adaptrix_core.composition.questions import step_prompt
from adaptrix_core.composition.stated_answer import answer_of


@pytest.mark.parametrize(
    ("ballots", "winner"),
    [
        ([Ballot("3 + 4\nAnswer: 7", -9), Ballot("Answer: 8", -1), Ballot("so\nanswer: 7.0", -5)], 2),
        ([Ballot("Answer: 1,600", -3), Ballot("1600", -2), Ballot("Answer: 9", -1)], 1),
        ([Ballot("Answer: yes", -4), Ballot("Answer: no", -3)], 1),
        ([Ballot("Answer: Yes.", -4, 0.6), Ballot("Answer: no", -3, 0.3), Ballot("no", -9, 0.2)], 0),
        ([Ballot("same", -2), Ballot("same", -2)], 0),
        ([Ballot("", -1), Ballot("Answer: 2", -8), Ballot("Answer: 2", -7)], 2),
        ([Ballot("x", -1, 0.1), Ballot("x", -1, 0.2), Ballot("y", -0.5, 0.3)], 2),
    ],
)
def test_the_winner(ballots: list[Ballot], winner: int) -> None:
    assert winner_of(ballots) == winner


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("12 + 3 = 15\nAnswer: 15", "15"),
        ("The answer is Yes.", "Yes"),
        ("def f(n):\n    return n\n\n", "return n"),
        ("", ""),
    ],
)
def test_the_answer_inside_of_a_reply(reply: str, answer: str) -> None:
    assert answer_of(reply) == answer


def test_a_plan_asks_each_question_in_the_place_of_the_last_message() -> None:
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "both?"}
    plan = ("first?", "then add {0} to {0}, not {x}")
    texts = ["2 + 2\nAnswer: 4"]
    assert step_prompt((system, user), plan, []) == (system, {"role": "user", "content": "first?"})
    second = {"role": "user", "content": "then add 4 to 4, not {x}"}
    assert step_prompt((system, user), plan, texts) == (system, second)
    assert step_prompt("both?", plan, texts) == "then add 4 to 4, not {x}"
    assert step_prompt([5, 6], plan, []) == "first?"


def test_without_a_plan_each_step_goes_on_from_the_texts_before_it() -> None:
    user = {"role": "user", "content": "q"}
    said = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert step_prompt((user,), "pass", ["a", "b"]) == (user, *said)
    assert step_prompt("q", "pass", ["a", "b"]) == "qa\nb\n"
    assert step_prompt([1, 2], "pass", []) == [1, 2]
