"""Means of the states at the cut over the tokens of questions: what the trunk has made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.deferred import Means


@torch.inference_mode()
def question_means(cache: KVCache, table: Sequence[int], questions: Sequence[tuple[int, int]]) -> Means | None:
    """The mean state entering the branch of each question's tokens, ``(questions, hidden)`` float32.

    table: the row's blocks of the trunk. questions: token ranges ``(start, stop)``, computed there. None without any
    question, and where a state is not finite.
    """
    if not questions:
        return None
    states, slots = cache.states[-1], cache.slots(table, max(stop for _, stop in questions))
    means = np.stack([_mean(states.index_select(0, slots[start:stop])) for start, stop in questions])
    return means if np.isfinite(means).all() else None


def _mean(rows: torch.Tensor) -> Means:
    """On a CPU by numpy: torch would wake its threads for it, and wait for them where other work has the cores."""
    if rows.device.type == "cpu":
        return np.asarray(rows.float().numpy().mean(0))
    return np.asarray(rows.float().mean(0).cpu().numpy())
