"""The policy of holding answers back: who is asked next, what is given, and what is told of the others."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from adaptrix_core.confidence.fallbacks import WITHOUT_AN_ANSWER, fault_in
from adaptrix_core.confidence.until_sure import AGAIN_TEMPERATURE, SAID, AnswerAttempt, Given, again, settled
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST


def attempt(
    confidence: float | None, is_calibrated: bool = True, name: str = "a", tokens: int = 3
) -> AnswerAttempt[str]:
    return AnswerAttempt(f"answer of {name}", name, confidence, is_calibrated, 0.7, tokens)


def test_a_sure_answer_is_given_as_it_is() -> None:
    given = settled([attempt(0.7)], ["base", "abstain"])
    assert isinstance(given, Given)
    assert (given.answer, given.words, given.told(), given.num_other_tokens) == ("answer of a", None, {}, 0)


def test_fallbacks_come_in_turns_until_one_is_sure() -> None:
    attempts = [attempt(0.1)]
    assert settled(attempts, ["again", "b", "abstain"]) == "again"
    attempts.append(attempt(0.2))
    assert settled(attempts, ["again", "b", "abstain"]) == "b"
    attempts.append(attempt(0.9, name="b"))
    given = settled(attempts, ["again", "b", "abstain"])
    assert isinstance(given, Given)
    assert (given.answer, given.num_other_tokens) == ("answer of b", 6)
    assert [told["confidence"] for told in given.told()["attempts"]] == [0.1, 0.2]
    assert set(given.told()) == {"attempts"}


def test_who_is_not_calibrated_answers_in_any_case_but_not_first() -> None:
    given = settled([attempt(0.1), attempt(None, is_calibrated=False, name="base")], ["base", "abstain"])
    assert isinstance(given, Given)
    assert given.answer == "answer of base"
    with pytest.raises(InvalidRequest, match="nothing is calibrated for 'base'") as refused:
        settled([attempt(None, is_calibrated=False, name="base")], ["abstain"])
    assert refused.value.code == "not_calibrated"


@pytest.mark.parametrize("fallback", WITHOUT_AN_ANSWER)
def test_words_stand_for_an_answer_and_all_attempts_are_told(fallback: str) -> None:
    given = settled([attempt(0.1), attempt(None)], ["again", fallback])
    assert isinstance(given, Given)
    assert (given.answer, given.words, given.num_other_tokens) == (None, SAID[fallback], 6)
    assert given.told()["instead_of_an_answer"] == fallback
    assert [told["confidence"] for told in given.told()["attempts"]] == [0.1, None]


@given(strategies.lists(strategies.none() | strategies.floats(0, 0.69), min_size=1, max_size=5))
def test_where_the_list_ends_the_surest_is_given_and_marked(confidences: list[float | None]) -> None:
    attempts = [attempt(confidence, name=str(place)) for place, confidence in enumerate(confidences)]
    given = settled(attempts, ["again"] * (len(attempts) - 1))
    assert isinstance(given, Given)
    assert given.told()["below_min_confidence"] is True
    best = max(-1.0 if one is None else one for one in confidences)
    assert (-1.0 if given.last.confidence is None else given.last.confidence) == best
    assert len(given.others) == len(attempts) - 1
    assert given.last not in given.others


def test_answering_again_is_sampled_and_each_time_another_one() -> None:
    assert again(None, None, 1) == again(None, 0.0, 1) == (None, AGAIN_TEMPERATURE)
    assert again(5, 0.3, 1) == (6, 0.3)
    assert again(5, 0.3, 2) != again(5, 0.3, 1)


@pytest.mark.parametrize(
    ("fallbacks", "fault"),
    [
        (["abstain"], None),
        (["again", "base", "a", "ask"], None),
        (["abstain", "base"], "'base' stands after 'abstain', which ends the list"),
        (["again", "ask", "abstain"], "'abstain' stands after 'ask', which ends the list"),
        (["base", ""], "empty name"),
        (["again"] * 5, f"5 fallbacks; at most {MOST.confidence_fallbacks}"),
    ],
)
def test_a_list_whose_end_is_never_reached_is_a_fault(fallbacks: list[str], fault: str | None) -> None:
    found = fault_in(fallbacks)
    assert (found is None) if fault is None else (found is not None and fault in found)
