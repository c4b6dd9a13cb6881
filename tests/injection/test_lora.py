"""The LoRA sum and the weights digest."""

from __future__ import annotations

from dataclasses import replace

import torch

from adaptrix_core.injection.lora import LoraWeights, PointWeights, TermTokens, apply_terms

POINT = (1, "self_attn.q_proj")


def random_point(rank: int, d_in: int = 6, d_out: int = 8, seed: int = 0, scaling: float = 0.5) -> PointWeights:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(*shape, generator=generator) for shape in ((rank, d_in), (d_out, rank))]
    return PointWeights(*draw, scaling)


def term(digest: str, rows: list[int], factors: list[float]) -> TermTokens:
    return TermTokens(digest, torch.tensor(rows), torch.tensor(factors)[:, None])


def test_the_update_is_the_sum_over_terms_of_factor_scaling_b_a_x():
    bank = {"x": random_point(2, seed=1), "y": random_point(5, seed=2, scaling=-1.25)}
    terms = {"x": ([0, 2, 3], [1.0, 0.3, -2.0]), "y": ([2, 4], [0.7, 1.0])}
    inputs, before = torch.randn(5, 6), torch.randn(5, 8)
    output = before.clone()
    apply_terms(output, inputs, [term(name, *spec) for name, spec in terms.items()], bank)
    expected = before.clone()
    for name, (rows, factors) in terms.items():
        weights = bank[name]
        for row, factor in zip(rows, factors, strict=True):
            expected[row] += factor * weights.scaling * weights.lora_b @ (weights.lora_a @ inputs[row])
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(output[1], before[1])


def test_an_adapter_without_weights_at_the_point_changes_nothing():
    output = torch.randn(3, 8)
    before = output.clone()
    apply_terms(output, torch.randn(3, 6), [term("elsewhere", [0, 1], [1.0, 1.0])], {"x": random_point(2)})
    assert torch.equal(output, before)


def test_all_tokens_at_once_is_the_same_as_naming_them_all():
    bank, inputs = {"x": random_point(2)}, torch.randn(4, 6)
    named, everything = torch.zeros(4, 8), torch.zeros(4, 8)
    factors = [1.0, 0.5, 2.0, -1.0]
    apply_terms(named, inputs, [term("x", [0, 1, 2, 3], factors)], bank)
    apply_terms(everything, inputs, [TermTokens("x", None, torch.tensor(factors)[:, None])], bank)
    assert torch.equal(named, everything)


def test_a_slice_of_a_fused_output_is_written_in_place_and_the_rest_is_left():
    fused = torch.randn(4, 24)
    before = fused.clone()
    by_head = fused.unflatten(-1, (2, 3, 4))[:, :, 1]
    apply_terms(by_head, torch.randn(4, 6), [term("x", [0, 3], [1.0, 1.0])], {"x": random_point(2)})
    touched = (fused != before).unflatten(-1, (2, 3, 4))
    assert touched[[0, 3]][:, :, 1].all()
    assert not touched[:, :, [0, 2]].any()
    assert not touched[[1, 2]].any()


def test_the_digest_depends_on_every_tensor_scaling_point_and_invocation_token():
    point = random_point(2)
    weights = LoraWeights({POINT: point, (2, "mlp.up_proj"): random_point(3, seed=5)})
    variants = [
        {**weights.points, POINT: replace(point, lora_a=point.lora_a + 1e-6)},
        {**weights.points, POINT: replace(point, lora_b=-point.lora_b)},
        {**weights.points, POINT: replace(point, scaling=0.5000001)},
        {**weights.points, POINT: replace(point, lora_a=point.lora_a.double(), lora_b=point.lora_b.double())},
        {(0, POINT[1]): point, (2, "mlp.up_proj"): weights.points[2, "mlp.up_proj"]},
        {POINT: point},
    ]
    digests = [LoraWeights(points).weights_digest for points in variants]
    digests += [LoraWeights(weights.points, tokens).weights_digest for tokens in ((), (7,), (7, 8))]
    assert len({weights.weights_digest, *digests}) == 1 + len(digests)


def test_the_digest_is_of_values_not_of_layout_or_order():
    x, y = random_point(2), random_point(3, seed=5)
    strided = PointWeights(x.lora_a.T.contiguous().T, x.lora_b.clone(), x.scaling)
    one = LoraWeights({POINT: x, (2, "mlp.up_proj"): y})
    other = LoraWeights({(2, "mlp.up_proj"): y, POINT: strided})
    assert one.weights_digest == other.weights_digest


def test_shapes_are_summed_up():
    weights = LoraWeights({(3, "mlp.up_proj"): random_point(5), POINT: random_point(2)})
    assert (weights.layers, weights.max_rank) == ((1, 3), 5)
    assert weights.nbytes == 4 * (5 * 6 + 8 * 5 + 2 * 6 + 8 * 2)
    assert LoraWeights({}).max_rank == 0
