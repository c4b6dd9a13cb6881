"""Conversations that change their topic go to the right adapter, with the right history; facts are recalled."""

from __future__ import annotations

import pytest

from adaptrix_core.context.memory.relevance import RelevanceByMeaning, RelevanceByWords
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.calibration import load_calibration
from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from benchmarks.memory.bars import chosen
from benchmarks.memory.conversations import OTHER_FACTS, conversations
from benchmarks.memory.recall import held
from benchmarks.memory.topics import scripts, taken


def characters(text: str) -> list[int]:
    return [*text.encode()]


@pytest.mark.slow
def test_conversations_of_three_topics_find_their_adapters_and_their_history() -> None:
    embedder = TextEmbedder(cache_entries=65536)
    calibration = load_calibration(shipped_adapters() / "routing.json")
    router = SemanticRouter(embedder, cards_in(shipped_adapters()), calibration)
    turns = taken(router, RelevanceByMeaning(embedder.embed), everyday=20)
    assert len(turns) == 160
    # 152 are right, which is the 95 % that are asked for.
    assert sum(one.is_right for one in turns) >= 152
    needing = [one for one in turns if one.turn.needs]
    assert sum(one.has_what_it_needs for one in needing) >= 0.95 * len(needing)
    cut = [one for one in taken(router, None, everyday=20) if one.turn.needs]
    assert sum(one.has_what_it_needs for one in cut) < sum(one.has_what_it_needs for one in needing)


def test_each_script_goes_to_three_topics_and_back() -> None:
    told = list(scripts())
    assert len(told) == 20
    for turns in told:
        assert len({turn.adapter for turn in turns}) == 3
        assert [turn.adapter for turn in turns[6:]] == [turns[0].adapter, turns[2].adapter]
        assert [turn.needs for turn in turns[6:]] == [(0,), (2,)]


def test_a_fact_told_long_ago_is_found_by_its_words_and_lost_by_truncation() -> None:
    told = list(conversations(4, turns_between=40))
    by_words = [held(one, [one.asked], 3000, RelevanceByWords(), characters)[0] for one in told]
    cut = [held(one, [one.asked], 3000, None, characters)[0] for one in told]
    assert sum(one.has(conversation.fact) for one, conversation in zip(by_words, told, strict=True)) >= 3
    assert not any(one.has(conversation.fact) for one, conversation in zip(cut, told, strict=True))
    assert sum(one.num_pruned for one in by_words) < sum(one.num_pruned for one in cut) / 2
    shares = [sum(one.num_known for one in held) / sum(one.num_tokens for one in held) for held in (by_words, cut)]
    assert shares[0] > shares[1]


def test_a_generated_conversation_tells_its_fact_once_and_others_beside_it() -> None:
    (one,) = conversations(1)
    assert len(one.pairs) == 64
    assert next(place for place, (said, _) in enumerate(one.pairs) if one.value in said) == one.fact
    assert sum(answer.startswith("Thank you for telling me") for _, answer in one.pairs) == 1 + OTHER_FACTS
    assert list(conversations(1)) == [one]


def test_a_bar_is_the_lowest_that_false_alarms_allow() -> None:
    assert chosen({0.1: 0.9, 0.2: 0.34, 0.3: 0.33, 0.4: 0.1}) == 0.3
    assert chosen({0.1: 0.9, 0.2: 0.8}) == 0.2
