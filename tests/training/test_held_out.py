"""Examples that are held out: never trained on, the same ones every time, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.held_out import split
from adaptrix_core.training.trainer import train_examples
from tests.tiny_models import random_base
from tests.training.test_trainer import tiny_config, tiny_examples, weights_in

PAIRS = [LearntConversation.of_pair(f"question {i % 40}", f"answer {i}") for i in range(60)]


def questions(conversations: list[LearntConversation]) -> set[str | None]:
    return {conversation.question for conversation in conversations}


def test_a_share_of_the_prompts_is_held_out_and_no_prompt_is_on_both_sides() -> None:
    train, held_out = split(PAIRS, 0.1, seed=0)
    assert len(questions(held_out)) == 4  # a tenth of forty different ones
    assert not questions(train) & questions(held_out)
    assert sorted(train + held_out, key=repr) == sorted(PAIRS, key=repr)


def test_the_same_prompts_are_held_out_every_time_and_others_with_another_seed() -> None:
    assert split(PAIRS, 0.1, seed=3) == split(PAIRS, 0.1, seed=3)
    assert split(list(reversed(PAIRS)), 0.1, seed=3)[1] == list(reversed(split(PAIRS, 0.1, seed=3)[1]))
    assert split(PAIRS, 0.1, seed=3)[1] != split(PAIRS, 0.1, seed=4)[1]


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_nothing_is_held_out_of_too_little(share: float) -> None:
    assert split(PAIRS, share, seed=0) == (PAIRS, [])


def test_something_is_always_left_to_train_on() -> None:
    train, held_out = split(PAIRS, 0.999, seed=0)
    assert train
    assert held_out


@pytest.mark.parametrize("variant", ["llama", "gpt2"])
def test_the_reported_loss_is_the_mean_cross_entropy_of_held_out_answers(variant: str, tmp_path: Path) -> None:
    base, examples = random_base(variant), tiny_examples(10)
    total = 0.0
    with torch.no_grad():
        for example in examples[8:]:
            logits = base.module(torch.tensor([example.token_ids])).logits[0, -4:-1]
            wanted = torch.tensor(example.token_ids[-3:])
            total += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
    result = train_examples(base, examples[:8], tiny_config(tmp_path), held_out=examples[8:])
    assert [entry.steps for entry in result.validation] == [0, 2, 4, 6]  # before, and after each of three epochs
    assert result.validation[0].loss == pytest.approx(total / 6, rel=1e-4)
    assert (result.num_examples, result.num_held_out) == (8, 2)


def test_measuring_the_held_out_examples_changes_no_weight(tmp_path: Path) -> None:
    examples = tiny_examples(10)
    train_examples(random_base(), examples[:8], tiny_config(tmp_path / "with"), held_out=examples[8:])
    train_examples(random_base(), examples[:8], tiny_config(tmp_path / "without"))
    one, other = weights_in(tmp_path / "with"), weights_in(tmp_path / "without")
    assert all(torch.allclose(one[name], other[name], rtol=0, atol=1e-5) for name in one)
