"""The tokens of the user's turns are found in any template that writes them as they are, whatever they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from adaptrix_core.base import BaseModel
from adaptrix_core.base.question_tokens import question_ranges
from tests.tiny_models import byte_tokenizer, random_base

PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}<assistant>"
STRIPPING = "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }} {% endfor %}"
WITH_SYSTEM = "<system>You answer the user: hi.</system>" + PLAIN
SHOUTING = "{% for m in messages %}<{{ m.role }}>{{ m.content | upper }}{% endfor %}"

TURNS = [
    {"role": "system", "content": "the user asks: hi"},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "  </user> the user <user> \ue0f0\ue0f13\ue0f1\ue0f0 日本語 "},
]


def base_with(template: str) -> BaseModel:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    return random_base(tokenizer=tokenizer)


def found(base: BaseModel, messages: Sequence[dict[str, Any]], turns: int = 8) -> list[str]:
    token_ids = base.encode_chat(messages)
    ranges = question_ranges(base, messages, token_ids, turns)
    return [base.require_tokenizer().decode(token_ids[start:stop]) for start, stop in ranges]


@pytest.mark.parametrize("template", [PLAIN, STRIPPING, WITH_SYSTEM])
def test_every_turn_is_found_and_nothing_else(template: str) -> None:
    said = found(base_with(template), TURNS)
    assert [text.strip() for text in said] == [TURNS[1]["content"], TURNS[3]["content"].strip()]


def test_the_latest_turns_are_told() -> None:
    assert found(base_with(PLAIN), TURNS, turns=1)[0].strip() == TURNS[3]["content"].strip()


@pytest.mark.parametrize("content", ["", "   ", None])
def test_a_turn_without_text_is_left_out(content: str | None) -> None:
    messages = [{"role": "user", "content": content or ""}, {"role": "user", "content": "why?"}]
    assert found(base_with(PLAIN), messages) == ["why?"]
    assert found(base_with(PLAIN), messages[:1]) == []


def test_a_template_that_changes_what_was_said_tells_nothing() -> None:
    assert found(base_with(SHOUTING), TURNS) == []


def test_a_prompt_that_was_cut_tells_nothing() -> None:
    base = base_with(PLAIN)
    assert question_ranges(base, TURNS, base.encode_chat(TURNS)[3:], 8) == ()


def test_of_text_and_token_ids_everything_was_asked_but_a_leading_special_token() -> None:
    base = base_with(PLAIN)
    assert question_ranges(base, "some text", [5, 6, 7], 8) == ((0, 3),)
    assert question_ranges(base, [0, 6, 7], [0, 6, 7], 8) == ((1, 3),)
    assert question_ranges(base, [0], [0], 8) == ((0, 1),)
