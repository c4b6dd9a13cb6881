"""Packs: an example in a pack gets the states that it would get alone, and nothing is lost or computed twice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.training.examples.packing import Example, batches, common_prefix, micro_batches, pack
from tests.tiny_models import random_base, random_prompts

PREFIX = (5, 6, 7)


def examples_of(lengths: list[int], answer: int = 2) -> list[Example]:
    """Examples with a shared prefix of three tokens and then random ones."""
    return [Example(i, (*PREFIX, *own), answer) for i, own in enumerate(random_prompts(lengths, seed=3))]


def test_a_packed_example_has_the_logits_it_has_alone() -> None:
    base = random_base("llama")
    examples = examples_of([4, 9, 6])
    packed = pack(examples, common_prefix(examples))
    with torch.no_grad():
        together = base.module(
            input_ids=packed.token_ids, attention_mask=packed.mask, position_ids=packed.positions, use_cache=False
        ).logits[0, packed.predictors]
        alone = torch.cat(
            [
                base.module(torch.tensor([e.token_ids])).logits[0, -e.answer_length - 1 : -1]
                for e in examples
            ]
        )  # fmt: skip
    assert torch.allclose(together, alone, atol=1e-4 * alone.abs().max().item())


def test_targets_are_the_answers_and_nothing_else() -> None:
    examples = examples_of([4, 9, 6], answer=3)
    packed = pack(examples, common_prefix(examples))
    assert packed.targets.tolist() == [token for e in examples for token in e.token_ids[-3:]]


def test_the_prefix_is_what_all_share_and_leaves_a_prompt_token_to_each() -> None:
    assert common_prefix([Example(0, (1, 2, 3, 4), 1), Example(1, (1, 2, 9, 4), 1)]) == 2
    assert common_prefix([Example(0, (1, 2, 3, 4), 1), Example(1, (1, 2, 3, 4), 1)]) == 2
    assert common_prefix([Example(0, (1, 4), 1), Example(1, (2, 4), 1)]) == 0


@given(count=st.integers(1, 60), size=st.integers(1, 9), epoch=st.integers(0, 3))
def test_an_epoch_shows_every_example_once(count: int, size: int, epoch: int) -> None:
    examples = [Example(i, tuple(range(3 + i % 7)), 1) for i in range(count)]
    epoch_batches = batches(examples, size, seed=1, epoch=epoch)
    assert sorted(e.index for batch in epoch_batches for e in batch) == list(range(count))
    assert all(len(batch) <= size for batch in epoch_batches)
    assert epoch_batches == batches(examples, size, seed=1, epoch=epoch)


@pytest.mark.parametrize("budget", [1, 12, 20, 1000])
def test_parts_keep_the_order_and_the_budget(budget: int) -> None:
    examples = examples_of([4, 9, 6, 3, 3])
    parts = micro_batches(examples, len(PREFIX), budget)
    assert [e for part in parts for e in part] == examples
    for part in parts:
        assert len(part) == 1 or pack(part, len(PREFIX)).token_ids.shape[1] <= budget
