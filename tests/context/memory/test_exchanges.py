"""A conversation in exchanges: nothing is torn from what it belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from adaptrix_core.context.memory.exchanges import in_exchanges
from adaptrix_core.errors import InvalidRequest

CALL = {"id": "c1", "function": {"name": "add", "arguments": '{"a": 1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    {"role": "assistant", "content": "three"},
    {"role": "user", "content": "second"},
    {"role": "user", "content": "third"},
]


def test_calls_and_results_stay_with_their_question() -> None:
    told = in_exchanges(MESSAGES)
    assert [message["content"] for message in told.opening] == ["Be short."]
    assert [len(turn.messages) for turn in told.turns] == [4, 1, 1]
    assert told.turns[0].question == "first"
    assert told.turns[0].text == 'first\n{"a": 1}\n3\nthree'


def test_all_exchanges_are_the_whole_conversation() -> None:
    told = in_exchanges(MESSAGES)
    assert told.messages(range(3)) == MESSAGES
    assert told.messages([0, 2]) == [*MESSAGES[:5], MESSAGES[6]]


def test_a_conversation_without_a_question_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no question"):
        in_exchanges(MESSAGES[:1])
