"""The prompts' share of a step: never over the batch, and short prompts join whole, not too many at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.engine.scheduling.prompt_budget import SHORT_TOGETHER, PromptBudget, PromptLimits

LIMITS = PromptLimits(max_batch_tokens=100, mixed_prefill_tokens=10, short_prompt_tokens=20)


def joined(limits: PromptLimits, num_decoding: int, prompts: list[int]) -> list[int]:
    """Tokens computed of each prompt that joins, first come first served, in one step."""
    budget, computed = PromptBudget(limits, num_decoding), []
    for tokens in prompts:
        if not budget.may_join(tokens):
            break
        budget.join(tokens)
        count = min(int(budget.room_to_join(tokens)), tokens)
        budget.spend(count, count)
        computed.append(count)
    return computed


def test_alone_prompts_get_the_whole_batch() -> None:
    assert joined(LIMITS, 0, [70, 70, 70]) == [70, 30]


def test_beside_decoding_rows_a_long_prompt_gets_little() -> None:
    assert joined(LIMITS, 3, [70]) == [13]


def test_short_prompts_join_whole_and_together_up_to_a_multiple() -> None:
    assert SHORT_TOGETHER == 2
    assert joined(LIMITS, 3, [20, 15, 5, 1]) == [20, 15, 5], "40 tokens together"
    assert joined(LIMITS, 3, [21, 15]) == [13], "a long one is no reason for others to join"


def test_short_prompts_join_up_to_the_last_token_of_the_batch() -> None:
    limits = PromptLimits(max_batch_tokens=25, mixed_prefill_tokens=10, short_prompt_tokens=20)
    assert joined(limits, 3, [20, 2]) == [20, 2]
    assert joined(limits, 3, [20, 3]) == [20]


def test_the_shortest_prompt_that_has_joined_lets_other_short_ones_follow() -> None:
    budget = PromptBudget(LIMITS, 3)
    budget.join(1)
    budget.spend(1, 13.0)
    assert budget.is_spent
    assert budget.may_join(20)


def test_room_for_one_token_is_room() -> None:
    budget = PromptBudget(LIMITS, 3)
    budget.spend(12, 12.0)
    assert budget.room == 1.0
    assert not budget.is_spent
    assert budget.may_join(70)
    budget.spend(0, 0.5)
    assert budget.is_spent


def test_tokens_after_much_context_count_for_more() -> None:
    budget = PromptBudget(LIMITS, 3)
    budget.spend(4, 13.0)
    assert budget.is_spent
    assert not budget.may_join(21)


@given(
    num_decoding=st.integers(0, 100),
    prompts=st.lists(st.integers(1, 150), max_size=30),
    short=st.integers(1, 60),
    mixed=st.integers(1, 60),
)
def test_a_step_never_computes_more_than_a_batch(num_decoding: int, prompts: list[int], short: int, mixed: int) -> None:
    limits = PromptLimits(100, mixed, short)
    computed = joined(limits, num_decoding, prompts)
    assert sum(computed) + num_decoding <= 100
    left = 100 - num_decoding
    for count, tokens in zip(computed, prompts, strict=False):
        assert not limits.is_short(tokens) or count in (tokens, left), "whole, or all that the batch holds"
        left -= count
