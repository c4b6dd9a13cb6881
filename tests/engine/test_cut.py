"""The cut: what is below it, as many adapters as possible share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.engine.cut import catalogue_cut, choose_cut
from tests.tiny_models import random_base, random_weights


@pytest.mark.parametrize(
    ("first_layers", "num_layers", "cut"),
    [
        ([10, 12, 20], 30, 10),
        ([2, 12, 20], 30, 12),  # one that begins almost at the bottom does not take the trunk from the others
        ([0, 1], 30, 10),
        ([], 30, 10),
        ([], 2, 1),
        ([0], 2, 1),
        ([], 1, None),
    ],
)
def test_the_cut_is_where_the_lowest_adapter_begins(first_layers: list[int], num_layers: int, cut: int | None) -> None:
    assert choose_cut(first_layers, num_layers) == cut


def test_it_is_taken_from_the_catalogue(save_adapter: Callable[..., Path]) -> None:
    base = random_base()
    package = save_adapter(base, "high", random_weights(base, [(3, "mlp.up_proj")]))
    assert catalogue_cut(package.parent, base) == 3
    assert catalogue_cut(package.parent / "nowhere", base) == 1
