"""Updates that stand out are named where an adapter is loaded and verified; honest adapters are left in peace."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe, write_package
from adaptrix_core.adapters.package.contents import metadata_of
from adaptrix_core.adapters.package.format import map_weights
from adaptrix_core.adapters.scan.norm_outliers import LARGE, norm_outliers
from adaptrix_core.injection.lora import LoraWeights, PointWeights

SHIPPED = Path(__file__).resolve().parents[3] / "adapters"
POINTS = [(layer, module) for layer in (0, 1) for module in ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")]


def planted(weights: LoraWeights, factors: dict[tuple[int, str], float]) -> LoraWeights:
    """The same adapter with some of its updates multiplied."""
    points = {
        point: replace(values, scaling=values.scaling * factors.get(point, 1.0))
        for point, values in weights.points.items()
    }
    return LoraWeights(points, weights.invocation_tokens)


def shipped(name: str) -> LoraWeights:
    manager = AdapterManager(SHIPPED, None, TrustPolicy("off"))
    snapshot = manager.snapshot(name)
    return map_weights(snapshot, metadata_of(snapshot))


@pytest.mark.parametrize("name", ["math_reasoning", "logical_reasoning", "code_generation", "tool_use"])
def test_what_honest_training_made_is_half_as_loud_as_an_outlier_at_most(name):
    weights = shipped(name)
    assert norm_outliers(weights) == ()
    loudest = max(weights.points, key=lambda point: _rms(weights.points[point]))
    assert norm_outliers(planted(weights, {loudest: 2.0})) == ()


@pytest.mark.parametrize("scaled", ["scaling", "A", "B", "negative"])
def test_a_loud_update_is_found_wherever_its_size_comes_from(scaled):
    weights = shipped("math_reasoning")
    at = (14, "mlp.down_proj")
    values, factor = weights.points[at], 3 * LARGE
    louder = {
        "scaling": replace(values, scaling=values.scaling * factor),
        "A": replace(values, lora_a=values.lora_a * factor),
        "B": replace(values, lora_b=values.lora_b * factor),
        "negative": replace(values, scaling=-values.scaling * factor),
    }[scaled]
    found = norm_outliers(LoraWeights({**weights.points, at: louder}, weights.invocation_tokens))
    assert [(one.layer, one.module) for one in found] == [at]
    assert found[0].size == pytest.approx(_rms(louder), rel=1e-4)


def test_a_whole_loud_layer_is_found_the_loudest_first():
    weights = shipped("math_reasoning")
    layer = [point for point in weights.points if point[0] == 18]
    found = norm_outliers(planted(weights, dict.fromkeys(layer, 20.0)))
    assert {(one.layer, one.module) for one in found} == set(layer)
    assert [one.size for one in found] == sorted((one.size for one in found), reverse=True)


def test_among_updates_that_do_nothing_any_other_stands_out(base, make_weights):
    weights = make_weights(base, POINTS)
    only = POINTS[0]
    found = norm_outliers(planted(weights, {point: 0.0 for point in POINTS if point != only}))
    assert [(one.layer, one.module, one.times_median) for one in found] == [(*only, math.inf)]


def test_a_few_updates_or_none_that_do_anything_are_not_judged(base, make_weights):
    weights = make_weights(base, POINTS[:3])
    assert norm_outliers(planted(weights, {POINTS[0]: 100.0})) == ()
    assert norm_outliers(planted(make_weights(base, POINTS), dict.fromkeys(POINTS, 0.0))) == ()


def test_the_loaded_adapter_and_its_verification_carry_the_warning(tmp_path, base, make_weights):
    weights = planted(make_weights(base, POINTS), {POINTS[4]: 50.0})
    write_package(tmp_path / "loud", describe(weights, base.info, "loud"), weights)
    manager = AdapterManager(tmp_path, base, TrustPolicy("off"))
    for warnings in (manager.load_adapter("loud").warnings, manager.validate_adapter("loud").warnings):
        said = [warning for warning in warnings if warning.startswith("norm_outlier: loud@")]
        assert len(said) == 1
        assert "layer 1 mlp.up_proj" in said[0]


def _rms(values: PointWeights) -> float:
    """Root mean square of the update's entries, the plain way."""
    return float((values.scaling * values.lora_b.double() @ values.lora_a.double()).square().mean().sqrt())
