"""The injector on real modules: hooks stay, slots change, nothing leaks from one token or slice to another."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, BaseModelError, InvalidRequest
from adaptrix_core.injection import LayerInjector, LoraWeights, PointWeights, Term
from tests.tiny_models import random_base, random_weights

TOKENS = 5


def modules_of(base: BaseModel) -> Iterator[tuple[int, str, nn.Module]]:
    """Every real module that some injection point names, once: (layer, path, module)."""
    layers = base.family.layers(base.module)
    for layer, path in sorted({(spec.layer, spec.module_path) for spec in base.points.values()}):
        yield layer, path, layers[layer].get_submodule(path)


def num_hooks(base: BaseModel) -> int:
    return sum(len(module._forward_hooks) for _, _, module in modules_of(base))


def outputs(base: BaseModel, inputs: dict[tuple[int, str], Tensor]) -> dict[tuple[int, str], Tensor]:
    with torch.inference_mode():
        return {(layer, path): module(inputs[layer, path]) for layer, path, module in modules_of(base)}


def random_inputs(base: BaseModel) -> dict[tuple[int, str], Tensor]:
    torch.manual_seed(3)
    found = {}
    for spec in base.points.values():
        found.setdefault((spec.layer, spec.module_path), torch.randn(1, TOKENS, spec.d_in))
    return found


@pytest.fixture
def base() -> BaseModel:
    return random_base("llama")


@pytest.mark.parametrize("variant", ["llama", "gpt2", "phi3", "gpt_neox", "opt"])
def test_every_point_alone_changes_its_own_slice_of_its_own_tokens_and_nothing_else(variant: str) -> None:
    base = random_base(variant)
    injector, inputs = LayerInjector(base), random_inputs(base)
    before = outputs(base, inputs)
    for point, spec in base.points.items():
        weights = random_weights(base, [point])
        injector.inject_adapter(weights)
        with injector.step([(), (Term(weights.weights_digest, 2.0),), (), (Term(weights.weights_digest),), ()]):
            after = outputs(base, inputs)
        for key, output in after.items():
            expected = before[key].clone()
            if key == (spec.layer, spec.module_path):
                own, values = inputs[key][0, [1, 3]], weights.points[point]
                delta = values.scaling * own @ values.lora_a.T @ values.lora_b.T * torch.tensor([[2.0], [1.0]])
                columns = spec.part.rows(output.shape[-1])
                changed = output[0][[1, 3]][:, columns]
                torch.testing.assert_close(changed, before[key][0][[1, 3]][:, columns] + delta, rtol=1e-4, atol=1e-4)
                for token, new in zip((1, 3), changed, strict=True):
                    expected[0, token, columns] = new
            assert torch.equal(output, expected), f"{point} reached beyond its slice, at {key}"
        injector.remove_adapter(weights.weights_digest)


@pytest.mark.parametrize("variant", ["gpt2", "phi3", "gpt_neox"])
def test_the_slices_of_a_fused_module_do_not_overlap_and_leave_no_gap(variant: str) -> None:
    base = random_base(variant)
    for layer, path, module in modules_of(base):
        parts = [s for s in base.points.values() if (s.layer, s.module_path) == (layer, path)]
        d_out = module.weight.numel() // parts[0].d_in
        rows = [row for spec in parts for row in spec.part.rows(d_out).tolist()]
        assert sorted(rows) == list(range(d_out))
        assert [len(spec.part.rows(d_out)) for spec in parts] == [spec.d_out for spec in parts]


def test_registering_again_adds_no_hook(base: BaseModel) -> None:
    injector = LayerInjector(base)
    injector.register_injection_point(1, "self_attn.q_proj")
    injector.register_injection_point(1, "self_attn.q_proj")
    assert num_hooks(base) == 1


def test_an_alias_is_the_same_point(base: BaseModel) -> None:
    injector = LayerInjector(base)
    injector.register_injection_point(2, "mlp.c_fc")
    injector.register_injection_point(2, "mlp.up_proj")
    assert num_hooks(base) == 1


def test_hooks_are_registered_once_however_many_adapters_come_and_go(base: BaseModel) -> None:
    injector = LayerInjector(base)
    injector.register_all()
    hooks = num_hooks(base)
    assert hooks == len(base.points)
    for seed in range(6):
        weights = random_weights(base, seed=seed)
        injector.inject_adapter(weights)
        if seed % 2:
            injector.remove_adapter(weights.weights_digest)
    for digest in injector.get_active_adapters():
        injector.remove_adapter(digest)
    assert num_hooks(base) == hooks


def test_an_adapter_at_a_point_that_was_not_registered_registers_it(base: BaseModel) -> None:
    injector = LayerInjector(base)
    injector.inject_adapter(random_weights(base, [(0, "self_attn.v_proj"), (3, "mlp.down_proj")]))
    assert num_hooks(base) == 2


@pytest.mark.parametrize(("layer", "module"), [(4, "self_attn.q_proj"), (-1, "mlp.up_proj")])
def test_an_unknown_layer_names_the_layers_there_are(base: BaseModel, layer: int, module: str) -> None:
    with pytest.raises(InvalidRequest, match=r"4 layers \(0 to 3\)"):
        LayerInjector(base).register_injection_point(layer, module)
    assert num_hooks(base) == 0


def test_an_unknown_module_names_the_modules_there_are(base: BaseModel) -> None:
    with pytest.raises(BaseModelError, match=r"self_attn\.qq_proj.*self_attn\.q_proj.*mlp\.c_fc"):
        LayerInjector(base).register_injection_point(1, "self_attn.qq_proj")


def test_a_module_that_this_family_lacks_names_those_it_has() -> None:
    injector = LayerInjector(random_base("gpt2"))
    with pytest.raises(InvalidRequest, match=r"no injection point 1\.mlp\.gate_proj.*mlp\.up_proj"):
        injector.register_injection_point(1, "mlp.gate_proj")


@pytest.mark.parametrize(
    ("point", "shape_a", "shape_b", "code"),
    [
        ((9, "self_attn.q_proj"), (2, 64), (64, 2), "unknown_module"),
        ((1, "self_attn.q_proj"), (2, 63), (64, 2), "bad_shape"),
        ((1, "self_attn.q_proj"), (2, 64), (65, 2), "bad_shape"),
        ((1, "self_attn.q_proj"), (2, 64), (64, 3), "bad_shape"),
    ],
)
def test_an_adapter_with_one_point_that_does_not_fit_is_refused_whole(base, point, shape_a, shape_b, code) -> None:
    good = random_weights(base, [(0, "mlp.up_proj")])
    bad = LoraWeights({**good.points, point: PointWeights(torch.zeros(shape_a), torch.zeros(shape_b), 1.0)})
    injector = LayerInjector(base)
    with pytest.raises(AdapterRejected) as refusal:
        injector.inject_adapter(bad)
    assert refusal.value.code == code
    assert f"{point[0]}.{point[1]}" in refusal.value.message
    assert injector.get_active_adapters() == {}
    assert num_hooks(base) == 0


def test_an_adapter_without_tensors_is_an_error_not_a_silent_no_op(base: BaseModel) -> None:
    with pytest.raises(AdapterRejected) as refusal:
        LayerInjector(base).inject_adapter(LoraWeights({}))
    assert refusal.value.code == "no_tensors"


def test_active_adapters_are_those_injected_and_not_removed_with_their_bytes(base: BaseModel) -> None:
    injector = LayerInjector(base)
    first, second = random_weights(base, seed=1), random_weights(base, seed=2, rank=7)
    for weights in (first, second, first):
        injector.inject_adapter(weights)
    assert injector.get_active_adapters() == {first.weights_digest: first.nbytes, second.weights_digest: second.nbytes}
    injector.remove_adapter(first.weights_digest)
    assert injector.get_active_adapters() == {second.weights_digest: second.nbytes}
    injector.remove_adapter(second.weights_digest)
    assert injector.get_active_adapters() == {}


def test_removing_frees_the_tensors(base: BaseModel) -> None:
    injector = LayerInjector(base)
    weights = random_weights(base)
    digest = weights.weights_digest
    tensors = [weakref.ref(t) for value in weights.points.values() for t in (value.lora_a, value.lora_b)]
    injector.inject_adapter(weights)
    del weights
    injector.remove_adapter(digest)
    gc.collect()
    assert [ref for ref in tensors if ref() is not None] == []


def test_removing_what_is_not_there_is_an_error(base: BaseModel) -> None:
    with pytest.raises(AdapterNotFound, match="deadbeef"):
        LayerInjector(base).remove_adapter("deadbeef" * 8)


def test_a_step_under_an_adapter_that_is_not_injected_is_refused(base: BaseModel) -> None:
    injector = LayerInjector(base)
    weights = random_weights(base)
    injector.inject_adapter(weights)
    injector.remove_adapter(weights.weights_digest)
    with pytest.raises(AdapterNotFound), injector.step([(Term(weights.weights_digest),)]):
        pass


def test_without_adapters_and_between_steps_the_model_computes_the_bases_outputs_bit_for_bit(base: BaseModel) -> None:
    inputs = random_inputs(base)
    before = outputs(base, inputs)
    injector = LayerInjector(base)
    injector.register_all()
    weights = random_weights(base)
    injector.inject_adapter(weights)
    with injector.step([(Term(weights.weights_digest),)] * TOKENS):
        changed = outputs(base, inputs)
    assert any(not torch.equal(changed[key], before[key]) for key in before)
    between = outputs(base, inputs)
    with injector.step([()] * TOKENS):
        empty = outputs(base, inputs)
    injector.remove_adapter(weights.weights_digest)
    cleared = outputs(base, inputs)
    for now in (between, empty, cleared):
        assert all(torch.equal(now[key], before[key]) for key in before)


def test_a_step_that_fails_leaves_no_mix_behind(base: BaseModel) -> None:
    injector, inputs = LayerInjector(base), random_inputs(base)
    weights = random_weights(base)
    before = outputs(base, inputs)
    injector.inject_adapter(weights)
    with pytest.raises(ZeroDivisionError), injector.step([(Term(weights.weights_digest),)] * TOKENS):
        raise ZeroDivisionError
    after = outputs(base, inputs)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_two_injectors_on_one_model_do_not_disturb_each_other(base: BaseModel) -> None:
    inputs, weights = random_inputs(base), random_weights(base)
    one, other = LayerInjector(base), LayerInjector(base)
    one.inject_adapter(weights)
    with one.step([(Term(weights.weights_digest),)] * TOKENS):
        alone = outputs(base, inputs)
    other.inject_adapter(weights)
    with one.step([(Term(weights.weights_digest),)] * TOKENS):
        beside = outputs(base, inputs)
    assert all(torch.equal(alone[key], beside[key]) for key in alone)
