"""Conversations with a real engine: they outlast the context, keep their prefix cached, and can be forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base.chat_options import ORDINARY
from adaptrix_core.context.memory.conversation import AUTO, Bounds, Conversation
from adaptrix_core.context.memory.exchanges import in_exchanges
from adaptrix_core.context.memory.selection import prompt_room
from adaptrix_core.context.memory.sizes import prompt_sizes
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest
from adaptrix_core.routing import prompts
from tests.tiny_models import byte_tokenizer, random_base

CONTEXT = 320
BLOCK = 4
SHORT = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True)
FACT = "My dog is called Biscuit."
CHATTER = [
    "Tell me about ships.",
    "And trees?",
    "Why is the sky blue?",
    "Say a poem.",
    "Who wrote it?",
    "Count to ten.",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    base = random_base("llama", tokenizer=byte_tokenizer(), vocab_size=400, max_position_embeddings=CONTEXT)
    options = EngineOptions(block_size=BLOCK, kv_cache_tokens=4096, max_batch_tokens=256)
    return Engine(base, tmp_path_factory.mktemp("catalogue"), TrustPolicy("off"), options)


def talked(engine: Engine, turns: int, **options: object) -> Conversation:
    conversation = Conversation(engine, system="Be short.", **options)  # type: ignore[arg-type]
    conversation.ask(FACT, SHORT)
    for number in range(turns):
        conversation.ask(f"{number}: {CHATTER[number % len(CHATTER)]}", SHORT)
    return conversation


@pytest.fixture(scope="module")
def long(engine: Engine) -> dict[str, Any]:
    return talked(engine, 16).export()


def went_on(engine: Engine, long: dict[str, Any]) -> Conversation:
    conversation = Conversation(engine)
    conversation.restore(long)
    return conversation


def test_a_conversation_outlasts_the_context_and_finds_what_it_was_told(engine: Engine, long: dict[str, Any]) -> None:
    conversation = went_on(engine, long)
    assert 0 in conversation.export()["left_out"]
    reply = conversation.ask("What is my dog called?", SHORT)
    assert reply.selection.recalled == (0,)
    assert 0 in reply.selection.kept
    assert reply.selection.left_out != ()
    assert reply.completion.num_prompt_tokens <= CONTEXT - 4
    assert len(conversation.turns) == 18


def test_a_prompt_is_what_its_parts_were_counted_to_be(engine: Engine) -> None:
    conversation = talked(engine, 5)
    told = in_exchanges([*conversation.messages(), {"role": "user", "content": "go on"}])
    sizes = prompt_sizes(engine.base, told)
    for kept in ([6], [0, 6], [2, 3, 4, 6], range(7)):
        prompt = engine.base.encode_chat(told.messages(kept), ORDINARY)
        counted = sizes.opening + sum(sizes.exchanges[number] for number in kept)
        assert len(prompt) <= counted <= len(prompt) + 2 * len(kept)


def test_a_long_conversation_keeps_its_prefix_in_the_cache(engine: Engine) -> None:
    conversation = Conversation(engine, system="Be short.")
    changed = before = 0
    for question in sorted(prompts.background(), key=len)[:24]:
        reply = conversation.ask(question, SHORT)
        if reply.selection.is_pruned or reply.selection.recalled:
            changed += 1
        else:
            assert max(reply.completion.timings.taken_over) > before - BLOCK
        before = reply.completion.num_prompt_tokens
    assert 3 <= changed <= 24 // 3


def test_a_question_that_is_too_long_changes_nothing(engine: Engine) -> None:
    conversation = talked(engine, 3)
    before = conversation.export()
    with pytest.raises(ContextLengthExceeded, match="question alone"):
        conversation.ask("x" * CONTEXT, SHORT)
    assert conversation.export() == before


def test_what_is_exported_is_gone_on_with(engine: Engine, long: dict[str, Any], tmp_path: Path) -> None:
    conversation = went_on(engine, long)
    file = tmp_path / "conversation.json"
    file.write_text(json.dumps(conversation.export()))
    again = Conversation(engine)
    again.restore(json.loads(file.read_text()))
    assert again.export() == conversation.export()
    assert again.ask("go on", SHORT).text == conversation.ask("go on", SHORT).text


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"form": 2},
        {"form": 1, "turns": [{}], "left_out": []},
        {"form": 1, "turns": [{"question": 1, "answer": ""}], "left_out": []},
        {"form": 1, "turns": [{"question": "", "answer": "", "else": 1}], "left_out": []},
        {"form": 1, "turns": [], "left_out": ["a"]},
        {"form": 1, "turns": [], "left_out": [], "system": 5},
        {"form": 1, "turns": [{"question": "", "answer": "", "asked_at": "today"}], "left_out": []},
        {"form": 1, "turns": [], "left_out": [], "summary": "short"},
        {"form": 1, "turns": [], "left_out": [], "summary": {"text": 7, "turns": []}},
        [],
    ],
)
def test_what_is_no_export_is_refused_and_changes_nothing(engine: Engine, wrong: Any) -> None:
    conversation = talked(engine, 1)
    before = conversation.export()
    with pytest.raises(InvalidRequest):
        conversation.restore(wrong)
    assert conversation.export() == before


def test_a_forgotten_turn_is_gone_and_the_others_keep_their_place(engine: Engine, long: dict[str, Any]) -> None:
    conversation = went_on(engine, long)
    left_out = conversation.export()["left_out"]
    conversation.forget(0)
    assert FACT not in [turn.question for turn in conversation.turns]
    assert conversation.export()["left_out"] == [number - 1 for number in left_out if number > 0]
    assert conversation.ask("What is my dog called?", SHORT).selection.recalled == ()
    with pytest.raises(InvalidRequest, match="no turn 99"):
        conversation.forget(99)
    conversation.forget()
    assert conversation.export()["turns"] == conversation.export()["left_out"] == []


def test_a_conversation_is_bounded_in_turns_characters_and_time(engine: Engine) -> None:
    assert len(talked(engine, 9, bounds=Bounds(turns=4)).turns) == 4
    assert len(talked(engine, 9, bounds=Bounds(characters=60)).turns) < 6
    assert len(talked(engine, 3, bounds=Bounds(age_s=0.0)).turns) == 1


def test_auto_needs_a_router(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="router"):
        Conversation(engine, adapter=AUTO)


def test_room_is_left_for_the_answer() -> None:
    assert (prompt_room(800, None), prompt_room(800, 50), prompt_room(800, 900)) == (700, 750, 1)
