"""The rule of the memory: what is always kept, what relevance brings, how rarely a prompt changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.context.memory.selection import KEEP_SHARE, LATEST, MOST_RECALLED, is_settled, select
from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest
from adaptrix_core.routing.continuity import RECENT_TURNS


def test_all_is_kept_where_all_fits() -> None:
    chosen = select([10] * 8, 100, opening=20)
    assert (chosen.kept, chosen.left_out, chosen.num_tokens) == (tuple(range(8)), (), 100)
    assert not chosen.is_pruned


def test_a_full_prompt_keeps_the_latest_and_the_most_relevant_in_order() -> None:
    relevance = [0.0] * 20
    relevance[3] = relevance[7] = 0.2
    chosen = select([10] * 20, 140, relevance=relevance)
    assert chosen.kept == (3, 7, 15, 16, 17, 18, 19)
    assert chosen.is_pruned
    assert chosen.left_out == tuple(n for n in range(20) if n not in chosen.kept)
    assert chosen.num_tokens == 70 == KEEP_SHARE * 140


def test_without_relevance_the_latest_are_kept() -> None:
    assert select([10] * 20, 140).kept == (13, 14, 15, 16, 17, 18, 19)


def test_what_was_left_out_stays_out_until_it_is_asked_for() -> None:
    relevance = [0.1] * 10
    first = select([10] * 10, 200, relevance=relevance, recall_from=0.5, left_out=(1, 2))
    assert (first.left_out, first.recalled, first.is_pruned) == ((1, 2), (), False)
    relevance[2] = 0.5
    second = select([10] * 10, 200, relevance=relevance, recall_from=0.5, left_out=(1, 2))
    assert (second.left_out, second.recalled, second.is_pruned) == ((1,), (2,), False)
    assert second.kept == (0, 2, 3, 4, 5, 6, 7, 8, 9)


def test_few_come_back_at_once_and_the_most_relevant_do() -> None:
    relevance = [0.6, 0.9, 0.7, 0.8, 0.0]
    assert select([1] * 5, 100, relevance=relevance, recall_from=0.5, left_out=range(4)).recalled == (1, 3)
    assert MOST_RECALLED == 2


def test_what_is_clearly_asked_for_has_room_beyond_the_share_that_pruning_fills() -> None:
    relevance = [0.9] + [0.0] * 19
    sizes = [60] + [10] * 19
    assert 0 in select(sizes, 140, relevance=relevance, recall_from=0.5).kept
    assert 0 not in select(sizes, 140, relevance=relevance, recall_from=0.95).kept


def test_a_conversation_is_pruned_once_in_many_turns() -> None:
    left_out: tuple[int, ...] = ()
    pruned = []
    for turns in range(1, 201):
        chosen = select([10] * turns, 200, relevance=[0.0] * turns, left_out=left_out)
        left_out = chosen.left_out
        pruned.append(chosen.is_pruned)
    assert sum(pruned) == 17  # 20 turns fill the budget and 10 stay: from then on once in 11 turns


def test_a_question_that_is_too_long_is_refused_with_sizes() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"question alone has 90 tokens, and 20 .* room for 100"):
        select([10, 90], 100, opening=20)


@pytest.mark.parametrize(
    ("sizes", "options"),
    [([], {}), ([1, 1, 1], {"relevance": [0.5]}), ([1], {"keep_share": 0.0}), ([1], {"keep_share": 1.5})],
)
def test_what_makes_no_sense_is_refused(sizes: list[int], options: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        select(sizes, 100, **options)  # type: ignore[arg-type]


def test_what_the_router_compares_a_message_with_is_kept() -> None:
    assert LATEST >= RECENT_TURNS


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    budget=st.integers(61, 600),
    opening=st.integers(0, 30),
    data=st.data(),
)
def test_a_prompt_is_never_over_its_budget_and_holds_the_question(
    sizes: list[int], budget: int, opening: int, data: st.DataObject
) -> None:
    scores = st.floats(-1, 1)
    relevance = data.draw(st.one_of(st.none(), st.lists(scores, min_size=len(sizes), max_size=len(sizes))))
    left_out = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    if opening + sizes[-1] > budget:
        return
    chosen = select(sizes, budget, opening=opening, relevance=relevance, recall_from=0.5, left_out=left_out)
    assert chosen.num_tokens == opening + sum(sizes[number] for number in chosen.kept) <= budget
    assert chosen.kept[-1] == len(sizes) - 1
    assert sorted([*chosen.kept, *chosen.left_out]) == list(range(len(sizes)))
    assert list(chosen.kept) == sorted(chosen.kept)
    if is_settled(sizes, budget, opening, left_out):
        assert chosen.left_out == ()
    if len(sizes) > 1 and opening + sizes[-1] + sizes[-2] <= budget and len(sizes) - 2 not in left_out:
        assert len(sizes) - 2 in chosen.kept
