"""Packs training examples, as token ids, several into one row.

Chat templates begin every prompt with the same tokens (a system message). A pack holds that prefix once, followed by
several examples; the attention mask lets an example see the prefix and itself only, and positions restart after the
prefix, so every token gets the states that it would get alone. No padding is computed, and the prefix is
computed once per pack.

Knows tokens, positions and masks. Does not know models, adapters or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """Token ids of one conversation; the last ``answer_length`` are the reply to learn, its end token included."""

    index: int
    token_ids: tuple[int, ...]
    answer_length: int


@dataclass(frozen=True)
class Pack:
    """One row: the shared prefix and the rest of several examples.

    ``token_ids`` and ``positions`` are (1, tokens); ``mask`` is (1, 1, tokens, tokens), True where attention is
    allowed; ``predictors`` are the indices whose next token is an answer token, ``targets`` those tokens.
    """

    examples: tuple[Example, ...]
    prefix_length: int
    token_ids: Tensor
    positions: Tensor
    mask: Tensor
    predictors: Tensor
    targets: Tensor


def common_prefix(examples: Sequence[Example]) -> int:
    """Number of first tokens that all prompts share; each example keeps at least one prompt token of its own."""
    shortest = min(len(e.token_ids) - e.answer_length for e in examples) - 1
    first = examples[0].token_ids
    length = 0
    while length < shortest and all(e.token_ids[length] == first[length] for e in examples):
        length += 1
    return length


def pack(examples: Sequence[Example], prefix_length: int) -> Pack:
    """Examples that begin with the same ``prefix_length`` tokens, as one row."""
    token_ids = list(examples[0].token_ids[:prefix_length])
    positions = list(range(prefix_length))
    segments = [0] * prefix_length
    predictors: list[int] = []
    for segment, example in enumerate(examples, start=1):
        own = example.token_ids[prefix_length:]
        token_ids.extend(own)
        positions.extend(range(prefix_length, prefix_length + len(own)))
        segments.extend([segment] * len(own))
        end = len(token_ids)
        predictors.extend(range(end - example.answer_length - 1, end - 1))
    ids = torch.tensor(token_ids)
    where = torch.tensor(predictors)
    return Pack(
        examples=tuple(examples),
        prefix_length=prefix_length,
        token_ids=ids[None],
        positions=torch.tensor(positions)[None],
        mask=_mask(torch.tensor(segments)),
        predictors=where,
        targets=ids[where + 1],
    )


def _mask(segments: Tensor) -> Tensor:
    same = segments[:, None] == segments[None, :]
    prefix = (segments == 0)[None, :]
    return ((same | prefix).tril())[None, None]


def batches(examples: Sequence[Example], batch_size: int, seed: int, epoch: int) -> list[list[Example]]:
    """One epoch in batches: shuffled, then grouped by length within windows of eight batches, then shuffled again."""
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = [examples[i] for i in torch.randperm(len(examples), generator=order).tolist()]
    window = batch_size * 8
    grouped: list[list[Example]] = []
    for start in range(0, len(shuffled), window):
        by_length = sorted(shuffled[start : start + window], key=lambda e: len(e.token_ids))
        grouped.extend(by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size))
    return [grouped[i] for i in torch.randperm(len(grouped), generator=order).tolist()]


def micro_batches(batch: Sequence[Example], prefix_length: int, token_budget: int) -> list[list[Example]]:
    """A batch in parts of at most ``token_budget`` tokens each (an example longer than that is a part of its own)."""
    parts: list[list[Example]] = []
    used = 0
    for example in batch:
        own = len(example.token_ids) - prefix_length
        if parts and used + own <= token_budget:
            parts[-1].append(example)
            used += own
        else:
            parts.append([example])
            used = prefix_length + own
    return parts
