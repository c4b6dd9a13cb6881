"""Scaled weights: what is accepted cannot overflow, and ordinary weights are far from what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe, read_package, write_package
from adaptrix_core.adapters.package.contents import metadata_of
from adaptrix_core.adapters.package.format import map_weights
from adaptrix_core.adapters.package.magnitudes import check_values, largest_allowed, largest_output
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights, PointWeights, TermTokens, apply_terms

POINT = (1, "self_attn.q_proj")
SHIPPED = Path(__file__).resolve().parents[3] / "adapters"
INPUT = 2.0**16
powers = st.integers(-120, 120).map(lambda exponent: 2.0**exponent)


def update(weights: PointWeights, inputs: torch.Tensor) -> torch.Tensor:
    output = torch.zeros(len(inputs), weights.lora_b.shape[0], dtype=inputs.dtype)
    terms = [TermTokens("d", None, torch.ones(len(inputs), 1, dtype=inputs.dtype))]
    apply_terms(output, inputs, terms, {"d": weights.to(inputs.device, inputs.dtype)})
    return output


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(a=powers, b=powers, scaling=powers, seed=st.integers(0, 99))
def test_what_is_accepted_stays_finite(dtype, a, b, scaling, seed):
    generator = torch.Generator().manual_seed(seed)
    values = PointWeights(torch.rand(3, 8, generator=generator) * a, torch.rand(5, 3, generator=generator) * b, scaling)
    inputs = torch.full((1, 8), INPUT, dtype=dtype)
    if torch.isfinite(values.lora_a).all() and torch.isfinite(values.lora_b).all():
        if largest_output(values) <= largest_allowed(dtype):
            check_values("a", LoraWeights({POINT: values}), dtype)
            assert torch.isfinite(update(values, inputs)).all()
        else:
            with pytest.raises(AdapterRejected, match="reaches"):
                check_values("a", LoraWeights({POINT: values}), dtype)


@pytest.mark.parametrize(
    ("a", "b", "scaling"),
    [(1e20, 1e20, 1.0), (1.0, 1.0, 1e39), (1e15, 1e15, 1e10), (3e38, 1e-38, 1.0), (1.0, 1.0, -1e38)],
    ids=["product", "scaling alone", "scaled product", "A on the way", "negative scaling"],
)
def test_finite_factors_whose_scaled_product_overflows_are_refused(tmp_path, base, make_weights, a, b, scaling):
    good = make_weights(base, [POINT]).points[POINT]
    bad = LoraWeights({POINT: PointWeights(torch.full_like(good.lora_a, a), torch.full_like(good.lora_b, b), scaling)})
    with pytest.raises(AdapterRejected) as caught:
        write_package(tmp_path / "a", describe(bad, base.info, "a"), bad)
    assert caught.value.code == "non_finite"
    assert "1.self_attn.q_proj" in caught.value.message


def test_a_base_in_float16_leaves_less_room(tmp_path, make_base, make_weights):
    base = make_base()
    values = make_weights(base, [POINT]).points[POINT]
    loud = LoraWeights({POINT: PointWeights(values.lora_a, values.lora_b, 1e4)})
    write_package(tmp_path / "a", describe(loud, base.info, "a"), loud)
    off = TrustPolicy("off")
    assert read_package(tmp_path / "a", base.info, base.points, trust=off).weights_digest == loud.weights_digest
    with pytest.raises(AdapterRejected, match="float16"):
        read_package(tmp_path / "a", replace(base.info, dtype="float16"), base.points, trust=off)


@pytest.mark.parametrize("name", ["math_reasoning", "code_generation", "logical_reasoning"])
def test_trained_adapters_are_far_from_every_limit(name):
    snapshot = AdapterManager(SHIPPED).snapshot(name)
    weights = map_weights(snapshot, metadata_of(snapshot))
    assert max(map(largest_output, weights.points.values())) < largest_allowed(torch.float16) / 10
