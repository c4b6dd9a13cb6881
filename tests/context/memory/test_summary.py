"""Summaries of what prompts leave out: bounded, written once for each turn, forgotten with what they may tell of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.context.memory.conversation import SUMMARY_SHARE, Conversation
from adaptrix_core.context.memory.exchanges import Exchange, in_exchanges
from adaptrix_core.context.memory.sizes import chat_size
from adaptrix_core.context.memory.summary import Summary, messages_with, recap, summary_request
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import InvalidRequest
from tests.tiny_models import byte_tokenizer, random_base

CONTEXT = 800
TOKENS = 24
ANSWER = 4
SHORT = SamplingParams(max_tokens=ANSWER, temperature=0.0, ignore_eos=True)
TURNS = [Exchange(({"role": "user", "content": "x" * 1000}, {"role": "assistant", "content": "y" * 1000}))] * 3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    base = random_base("llama", tokenizer=byte_tokenizer(), vocab_size=400, max_position_embeddings=CONTEXT)
    options = EngineOptions(block_size=4, kv_cache_tokens=4096, max_batch_tokens=512)
    return Engine(base, tmp_path_factory.mktemp("catalogue"), TrustPolicy("off"), options)


@pytest.fixture(scope="module")
def long(engine: Engine) -> Conversation:
    conversation = Conversation(engine, system="Be short.", summary_tokens=TOKENS)
    for number in range(16):
        conversation.ask(f"{number}: tell me something about the weather of today.", SHORT)
    return conversation


def copied(engine: Engine, conversation: Conversation, summary_tokens: int | None = TOKENS) -> Conversation:
    copy = Conversation(engine, summary_tokens=summary_tokens)
    copy.restore(conversation.export())
    return copy


def test_a_request_is_as_short_as_it_has_to_be_and_tells_what_is_known_already() -> None:
    def within(characters: int) -> list[dict[str, str]] | None:
        return summary_request(  # type: ignore[return-value]
            Summary("Ann has a dog."), TURNS, lambda told: sum(len(one["content"]) for one in told) <= characters
        )

    whole, shorter = within(10_000), within(1000)
    assert whole is not None
    assert shorter is not None
    assert len(whole[-1]["content"]) > len(shorter[-1]["content"])
    assert all("Notes so far:\nAnn has a dog." in asked[-1]["content"] for asked in (whole, shorter))
    assert within(100) is None


def test_it_stands_between_the_opening_and_the_turns_as_the_models_own_words() -> None:
    conversation = in_exchanges([{"role": r, "content": c} for r, c in (("system", "s"), ("user", "a"), ("user", "b"))])
    assert messages_with(Summary("short"), conversation, [1]) == [
        {"role": "system", "content": "s"}, *recap("short"), {"role": "user", "content": "b"},
    ]  # fmt: skip
    assert messages_with(Summary(), conversation, [1]) == conversation.messages([1])


def test_what_is_left_out_is_in_the_prompt_as_a_summary_within_the_context(engine: Engine, long: Conversation) -> None:
    reply = copied(engine, long).ask("go on", SHORT)
    assert reply.selection.left_out
    assert reply.summary
    without = copied(engine, long, summary_tokens=None).ask("go on", SHORT)
    assert without.summary == ""
    assert 0 < reply.completion.num_prompt_tokens <= CONTEXT - ANSWER
    told = in_exchanges([*long.messages(), {"role": "user", "content": "go on"}])
    expected = messages_with(Summary(reply.summary), told, reply.selection.kept)
    assert reply.completion.num_prompt_tokens == chat_size(engine.base, expected)


def test_it_is_written_anew_only_where_more_is_left_out(engine: Engine) -> None:
    conversation = Conversation(engine, summary_tokens=TOKENS)
    seen: list[tuple[str, tuple[int, ...]]] = []
    for number in range(20):
        reply = conversation.ask(f"{number}: tell me something about the weather of today.", SHORT)
        seen.append((reply.summary, reply.selection.left_out))
    changed = [(before, after) for before, after in pairwise(seen) if before[0] != after[0]]
    assert 1 <= len(changed) < 10
    assert all(set(after[1]) - set(before[1]) for before, after in changed)
    known = conversation.export()["summary"]["turns"]
    assert set(seen[-1][1]) <= set(known)


def test_a_forgotten_turn_is_not_told_of(engine: Engine, long: Conversation) -> None:
    conversation = copied(engine, long)
    assert conversation.export()["summary"]["text"]
    conversation.forget(5)
    assert conversation.export()["summary"] == {"text": "", "turns": []}


def test_a_question_that_leaves_no_room_is_answered_without(engine: Engine, long: Conversation) -> None:
    conversation = copied(engine, long)
    room = CONTEXT - ANSWER
    opening = chat_size(engine.base, [{"role": "system", "content": "Be short."}, {"role": "user", "content": ""}])
    reply = conversation.ask("x" * (room - opening - 8), SHORT)
    assert reply.summary == ""
    assert reply.completion.num_prompt_tokens <= room


@pytest.mark.parametrize("tokens", [0, -1, CONTEXT // SUMMARY_SHARE + 1])
def test_a_budget_of_no_sense_is_refused(engine: Engine, tokens: int) -> None:
    with pytest.raises(InvalidRequest, match=f"allowed: 1 to {CONTEXT // SUMMARY_SHARE}"):
        Conversation(engine, summary_tokens=tokens)


def test_it_is_kept_beside_the_conversation(engine: Engine, long: Conversation, tmp_path: Path) -> None:
    assert copied(engine, long).export() == long.export()
    assert copied(engine, long).ask("go on", SHORT).text == copied(engine, long).ask("go on", SHORT).text
