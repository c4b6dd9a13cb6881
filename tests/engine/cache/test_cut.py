"""The cut: what is below it, as many adapters as possible share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.base import BaseModelManager
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.engine.cache.cut import catalogue_cut, choose_cut
from tests.tiny_models import random_base, random_module, random_weights


@pytest.mark.parametrize(
    ("first_layers", "num_layers", "cut"),
    [
        ([10, 12, 20], 30, 10),
        ([2, 12, 20], 30, 12),  # one that begins almost at the bottom does not take the trunk from the others
        ([0, 1], 30, 10),
        ([], 30, 10),
        ([], 2, 1),
        ([0], 2, 1),
        ([10, 12], 10, 3),  # nobody begins past the top
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
    assert catalogue_cut(package.parent, random_base(num_hidden_layers=6)) == 2, "made for another base"


@pytest.mark.parametrize(
    ("options", "cut"),
    [(None, 3), (EngineOptions(cut=2), 2), (EngineOptions(), None)],
    ids=["left open", "another one", "none"],
)
def test_an_engine_has_the_catalogues_cut_unless_it_is_told_another(
    save_adapter: Callable[..., Path], tmp_path: Path, options: EngineOptions | None, cut: int | None
) -> None:
    random_module().save_pretrained(tmp_path)
    base = BaseModelManager(str(tmp_path), "cpu", "fp32").load_model()
    package = save_adapter(base, "high", random_weights(base, [(3, "mlp.up_proj")]))
    engine = Engine.from_pretrained(str(tmp_path), "cpu", "fp32", package.parent, "off", options)
    spans = {None: [[0, 3]], 2: [[0, 1], [2, 3]], 3: [[0, 2], [3, 3]]}[cut]
    assert engine.stats()["cut"] == cut
    assert [entry["layers"] for entry in engine.stats()["layer_tokens"]] == spans
    engine.loader.close()
