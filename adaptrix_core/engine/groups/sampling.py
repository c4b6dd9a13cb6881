"""The next tokens of rows, some of which choose theirs together with others (`ensemble.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaptrix_core.engine.groups.ensemble import Ensemble
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.sampler import Sampled, Unsampled, sample


def sample_together(logits: Tensor, rows: Sequence[Row]) -> list[Sampled | Unsampled | None]:
    """As `sample`; of an ensemble whose rows are all there, the first of ``rows`` has its token, the others have None.

    None too for the rows of an ensemble that waits for others. logits: ``(rows, vocab)``, which may be overwritten.
    """
    alone = [number for number, row in enumerate(rows) if row.ensemble is None]
    whole: dict[int, Ensemble[Row]] = {}
    for number, row in enumerate(rows):
        if row.ensemble is not None:
            row.ensemble.take(row, logits[number])
    for number, row in enumerate(rows):
        if row.ensemble is not None and row.ensemble.is_complete and row.ensemble not in whole.values():
            whole[number] = row.ensemble
    sampled: list[Sampled | Unsampled | None] = [None] * len(rows)
    numbers = [*alone, *whole]
    if numbers:
        wanted = [*(logits[number].float() for number in alone), *(one.combined() for one in whole.values())]
        voices = [*(rows[number] for number in alone), *(one.voice for one in whole.values())]
        for number, result in zip(numbers, sample(torch.stack(wanted), voices), strict=True):
            sampled[number] = result
    return sampled
