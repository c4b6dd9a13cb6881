"""What is routed of a conversation, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing.conversation import EDGE_CHARS, MAX_TURNS, excerpt, user_turns


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def test_only_users_are_listened_to_and_only_lately() -> None:
    messages = [{"role": "system", "content": "You write code."}]
    for index in range(20):
        messages += [{"role": "user", "content": f"question {index}"}, {"role": "assistant", "content": "answer"}]
    assert user_turns(messages) == [f"question {index}" for index in range(20 - MAX_TURNS, 20)]


def test_text_parts_are_joined() -> None:
    assert user_turns([user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])]) == ["one\ntwo"]


@pytest.mark.parametrize("content", ["", "  \n\t ", None, [], [{"type": "text", "text": " "}]])
def test_a_turn_without_words_is_no_turn(content: object) -> None:
    assert user_turns([user(content)]) == []


@pytest.mark.parametrize(
    ("messages", "message", "param"),
    [
        ([], "messages is empty", "messages"),
        (["hello"], r"messages\[0\] is not an object", "messages[0]"),
        ([{"content": "no role"}], r"messages\[0\] is not an object", "messages[0]"),
        ([user(7)], r"messages\[0\].content is int; only text", "messages[0].content"),
        ([user(b"bytes")], r"messages\[0\].content is bytes", "messages[0].content"),
        ([user({"type": "text"})], r"messages\[0\].content is dict", "messages[0].content"),
        ([user("a"), user([{"type": "image_url"}])], r"content\[0\] is of type 'image_url'", "messages[1].content[0]"),
        ([user([{"type": "text", "text": 3}])], "only text can be routed", "messages[0].content[0]"),
        ([user(["loose string"])], "of type 'str'", "messages[0].content[0]"),
    ],
)
def test_what_is_no_conversation_of_texts_is_refused_by_place(messages: list, message: str, param: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        user_turns(messages)
    assert caught.value.param == param


@given(st.text(max_size=5000))
def test_an_excerpt_is_short_and_stays_as_it_is(text: str) -> None:
    cut = excerpt(text)
    assert len(cut) <= 2 * EDGE_CHARS + 3
    if len(text.strip()) <= 2 * EDGE_CHARS and len(text) <= 8 * EDGE_CHARS:
        assert cut == text.strip()


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    cut = excerpt("Please sum this up: " + "lorem ipsum " * 90_000 + "In two sentences.")
    assert cut.startswith("Please sum this up:")
    assert cut.endswith("In two sentences.")


def test_ten_megabytes_take_no_time() -> None:
    text = "  word\n" * 1_500_000
    started = time.perf_counter()
    user_turns([user(text)])
    assert time.perf_counter() - started < 1
