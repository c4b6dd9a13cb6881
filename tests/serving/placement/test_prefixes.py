"""Names of prompts' beginnings: equal exactly where keys and values could be, few, and cheap."""

from __future__ import annotations

from typing import Any

import pytest

from adaptrix_core.injection.mix import Term
from deployments.placement.prompt_prefixes import CHUNK_BYTES, FIRST, LAST, MAX_CHUNKS, MIN_BYTES, prefix_names
from deployments.shared.wire import GenerateCall

LONG = "x" * MIN_BYTES


def names(prompt: Any, mixes: Any = ((),), salt: bytes = b"tenant") -> tuple[int, ...]:
    return prefix_names(GenerateCall("r", prompt, mixes, {}, salt))


def chat(*contents: str) -> tuple[dict[str, str], ...]:
    return tuple({"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents))


def test_the_next_turn_begins_with_the_whole_turn_before_it() -> None:
    turn = names(chat(LONG, "b", "c"))
    assert names(chat(LONG, "b", "c", "d", "e"))[2:] == turn
    assert set(names(chat(LONG, "b", "other"))) & set(turn) == set(turn[1:])


@pytest.mark.parametrize(
    "other",
    [
        {"salt": b"somebody else"},
        {"mixes": ((Term("a" * 64),),)},
        {"mixes": ((Term("b" * 64, 0.5),), ())},
        {"mixes": ((Term("a" * 64, 1.0, frozenset({1, 2})),),)},
        {"prompt": chat(LONG[1:], "xb")},
        {"prompt": ({"role": "system", "content": LONG}, {"role": "assistant", "content": "b"})},
    ],
)
def test_what_computes_other_keys_and_values_has_other_names(other: dict[str, Any]) -> None:
    assert not set(names(**{"prompt": chat(LONG, "b"), **other})) & set(names(chat(LONG, "b")))


@pytest.mark.parametrize("unit", ["ab", [7, 8]])
def test_text_and_token_ids_are_named_by_whole_chunks(unit: Any) -> None:
    size = CHUNK_BYTES if isinstance(unit, str) else CHUNK_BYTES // 4
    make = (lambda count: (unit * count)[:count]) if isinstance(unit, str) else lambda n: tuple((unit * n)[:n])
    three = names(make(3 * size + 5))
    assert len(three) == 3
    assert names(make(5 * size))[2:] == three
    assert len(names(make(1000 * size))) == FIRST + LAST
    assert names(make(size - 1)) == ()


def test_few_are_kept_of_a_long_conversation_and_the_next_turn_still_finds_it() -> None:
    contents = [LONG] * 400
    turn, later = names(chat(*contents)), names(chat(*contents, "answer", "next"))
    assert len(turn) == len(later) == FIRST + LAST
    assert turn[0] in later
    assert turn[0] not in names(chat(*contents[:-1], "other")), "and not one that parted from it late"
    assert set(names(chat(*contents[:2]))) < set(later)


def test_short_beginnings_have_no_name() -> None:
    assert names(chat("hello")) == names("hello") == names((1, 2, 3)) == ()


def test_odd_input_is_named_like_any_other() -> None:
    assert names(chat("\ud800" * MIN_BYTES))
    assert len(names((2**70, -1) * CHUNK_BYTES)) == min(MAX_CHUNKS, FIRST + LAST, 8)
