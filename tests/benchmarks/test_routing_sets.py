"""The generated sets of the routing benchmark: as big as they say, and nothing that is learnt from is asked."""

from __future__ import annotations

import pytest

from benchmarks.routing.answers import KINDS, OF_EACH, is_right, untaught
from benchmarks.routing.topic_set import topics


def test_the_topics_have_the_shape_of_clinc150() -> None:
    made = topics()
    assert len({topic.name for topic in made}) == 150
    texts = [text for topic in made for text in (*topic.examples, *topic.questions)]
    assert len(texts) == len(set(texts)) == 150 * 16
    assert {(len(topic.examples), len(topic.questions)) for topic in made} == {(12, 4)}


def test_what_is_learnt_from_is_not_counted() -> None:
    learn, count = untaught()
    assert len(learn) == len(count) == len(KINDS) * OF_EACH // 2
    assert not {asked.text for asked in learn} & {asked.text for asked in count}


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [("4 + 3 = 7", "7", True), ("It is 1,200.", "1200", True), ("7 or 8", "7", False), ("seven", "7", False)],
)  # fmt: skip
def test_the_last_number_of_a_reply_is_its_answer(reply: str, answer: str, right: bool) -> None:
    assert is_right(reply, answer) is right
