"""The Triton kernels against the plain reference: in Triton's interpreter, and on a CUDA device where there is one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

if not torch.cuda.is_available() and "triton" not in sys.modules:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported first
pytest.importorskip("triton", reason="triton is not installed; it comes with CUDA builds of torch")
if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no CUDA device, and triton was imported without TRITON_INTERPRET=1", allow_module_level=True)

from adaptrix_core.base import BaseModel, Point
from adaptrix_core.injection import LayerInjector, LoraWeights, Mix, Term
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.backends.plain import PlainLora
from adaptrix_core.injection.backends.triton import TritonLora
from adaptrix_core.injection.gate import gate_mix
from tests.tiny_models import random_base, random_weights

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = [torch.float32, torch.float16, *([torch.bfloat16] if DEVICE == "cuda" else [])]
"""Triton's interpreter does not multiply bfloat16."""
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Of the largest output: a few units in the last place, for the reference rounds once more on the way."""

POINT = (1, "self_attn.q_proj")
ADAPTERS = [(1, 1, 0.5), (2, 7, -1.25), (3, 16, 1.0), (4, 33, 0.25)]
"""Seed, rank and scaling; ranks that are no power of two, and one beyond the smallest block."""

Backend = PlainLora | TritonLora


def make_base(variant: str = "llama", dtype: torch.dtype = torch.float32) -> BaseModel:
    module = random_base(variant).module.to(DEVICE, dtype)
    return BaseModel.from_module(module, lineage=f"test/{variant}")


def both(base: BaseModel, adapters: list[LoraWeights]) -> tuple[PlainLora, TritonLora]:
    backends = PlainLora(base), TritonLora(base)
    for backend in backends:
        for weights in adapters:
            backend.put(weights)
    return backends


def updated(
    backend: Backend, base: BaseModel, point: Point, mixes: list[Mix], inputs: Tensor, before: Tensor
) -> Tensor:
    """The real module's output ``(tokens, d)`` after the backend's work at ``point``."""
    output = before.clone()
    backend.begin(mixes)
    backend.apply(point, base.points[point].part.view(output), inputs)
    backend.end()
    return output


def random_mixes(adapters: list[LoraWeights], count: int, seed: int) -> list[Mix]:
    """Up to three terms a token: none, repeated, by layer, restricted to layers, negative, and rows of one mix."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int) -> int:
        return int(torch.randint(high, (1,), generator=generator))

    def term() -> Term:
        weights: list[float | tuple[float, ...]] = [1.0, -0.7, (0.5, 0.0, 2.0, -1.0)]
        layers = [None, None, frozenset({1, 2})]
        return Term(adapters[draw(len(adapters))].weights_digest, weights[draw(3)], layers[draw(3)])

    choices = [tuple(term() for _ in range(draw(4))) for _ in range(5)]
    return [choices[draw(5)] for _ in range(count)]


def real_width(base: BaseModel, point: Point) -> int:
    """Outputs of the real, possibly fused module."""
    spec = base.points[point]
    module = base.family.layers(base.module)[spec.layer].get_submodule(spec.module_path)
    return module.weight.numel() // spec.d_in


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("variant", ["llama", "phi3", "gpt_neox"])
def test_random_mixes_at_every_point_of_a_layer_equal_the_reference(variant: str, dtype: torch.dtype) -> None:
    """phi3 writes slices of fused outputs, gpt_neox a part of every head."""
    base = make_base(variant, dtype)
    adapters = [random_weights(base, seed=seed, rank=rank, scaling=scaling) for seed, rank, scaling in ADAPTERS]
    adapters.append(random_weights(base, [(1, "mlp.up_proj")], rank=5, seed=9))
    plain, triton = both(base, adapters)
    for number, point in enumerate(p for p in base.points if p[0] == 1):
        mixes = random_mixes(adapters, 21, seed=number)
        torch.manual_seed(number)
        inputs = torch.randn(21, base.points[point].d_in, dtype=dtype).to(DEVICE)
        before = torch.randn(21, real_width(base, point), dtype=dtype).to(DEVICE)
        expected, got = (updated(b, base, point, mixes, inputs, before) for b in (plain, triton))
        assert not torch.equal(expected, before)
        assert (got - expected).abs().max() <= TOLERANCE[dtype] * expected.abs().max(), point
        empty = [index for index, mix in enumerate(mixes) if not mix]
        assert torch.equal(got[empty], before[empty])


@pytest.fixture
def base() -> BaseModel:
    return make_base()


@pytest.mark.parametrize("rank", [1, 3, 17, 64, 100])
def test_the_true_rank_counts_beside_an_adapter_of_another_rank(base: BaseModel, rank: int) -> None:
    """100 is more than one block of ranks."""
    adapters = [random_weights(base, [POINT], rank=rank, seed=1), random_weights(base, [POINT], rank=24, seed=2)]
    plain, triton = both(base, adapters)
    mixes: list[Mix] = [(Term(adapters[0].weights_digest),), (Term(adapters[1].weights_digest),), ()]
    inputs, before = torch.randn(3, 64, device=DEVICE), torch.randn(3, 64, device=DEVICE)
    expected, got = (updated(b, base, POINT, mixes, inputs, before) for b in (plain, triton))
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_row_is_summed_alike_whatever_else_is_in_the_batch(base: BaseModel) -> None:
    adapters = [random_weights(base, seed=seed, rank=rank) for seed, rank, _ in ADAPTERS]
    _, triton = both(base, adapters)
    own: Mix = (Term(adapters[1].weights_digest, 0.3), Term(adapters[3].weights_digest))
    inputs, before = torch.randn(20, 64, device=DEVICE), torch.randn(20, 64, device=DEVICE)
    mixes = [*random_mixes(adapters, 19, seed=5), own]
    alone = updated(triton, base, POINT, [own], inputs[19:], before[19:])
    among = updated(triton, base, POINT, mixes, inputs, before)
    assert torch.equal(alone[0], among[19])


def test_a_step_without_adapters_changes_nothing(base: BaseModel) -> None:
    _, triton = both(base, [random_weights(base)])
    for count in (4, 0):
        before, inputs = torch.randn(count, 64, device=DEVICE), torch.randn(count, 64, device=DEVICE)
        assert torch.equal(updated(triton, base, POINT, [()] * count, inputs, before), before)
    triton.begin([()] * 4)
    assert not triton.acts_at(POINT)


def test_work_is_done_only_at_points_that_a_term_of_the_step_acts_on(base: BaseModel) -> None:
    weights = random_weights(base, [(1, "mlp.up_proj"), (2, "mlp.up_proj")])
    _, triton = both(base, [weights, random_weights(base, [(0, "mlp.up_proj")], seed=1)])
    triton.begin([(Term(weights.weights_digest, layers=frozenset({2})),), ()])
    assert [point for point in base.points if triton.acts_at(point)] == [(2, "mlp.up_proj")]


def test_slots_are_used_again_and_the_table_grows(base: BaseModel) -> None:
    first = random_weights(base, [POINT], seed=0)
    plain, triton = both(base, [first])
    inputs, before = torch.randn(1, 64, device=DEVICE), torch.randn(1, 64, device=DEVICE)
    for seed in range(1, 70):
        weights = random_weights(base, [POINT, (3, "mlp.down_proj")], rank=1 + seed % 5, seed=seed)
        plain.put(weights)
        triton.put(weights)
        if seed % 16 == 0:
            plain.remove(weights.weights_digest)
            triton.remove(weights.weights_digest)
            continue
        for used in (first, weights):
            mixes: list[Mix] = [(Term(used.weights_digest),)]
            expected, got = (updated(b, base, POINT, mixes, inputs, before) for b in (plain, triton))
            assert (got - expected).abs().max() <= 1e-5 * expected.abs().max(), seed


def test_a_slot_given_out_again_keeps_nothing_of_the_adapter_before(base: BaseModel) -> None:
    everywhere, somewhere = random_weights(base), random_weights(base, [(2, "mlp.up_proj")], seed=1)
    _, triton = both(base, [everywhere])
    triton.remove(everywhere.weights_digest)
    triton.put(somewhere)
    other = random_weights(base, seed=2)
    triton.put(other)
    mixes: list[Mix] = [(Term(somewhere.weights_digest),), (Term(other.weights_digest),)]
    inputs, before = torch.randn(2, 64, device=DEVICE), torch.randn(2, 64, device=DEVICE)
    after = updated(triton, base, POINT, mixes, inputs, before)
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])


def hooked_outputs(backend: type[Backend]) -> list[Tensor]:
    """What two modules of a layer compute under an injector with this backend."""
    base = make_base()
    weights, injector = random_weights(base), LayerInjector(base, backend(base))
    injector.inject_adapter(weights)
    layer = base.family.layers(base.module)[1]
    torch.manual_seed(0)
    states = torch.randn(1, 6, 64).to(DEVICE)
    with torch.inference_mode(), injector.step([(), *[(Term(weights.weights_digest),)] * 5]):
        return [layer.get_submodule(path)(states) for path in ("self_attn.q_proj", "mlp.up_proj")]


def test_under_the_injectors_hooks_it_equals_the_plain_backend() -> None:
    for expected, got in zip(hooked_outputs(PlainLora), hooked_outputs(TritonLora), strict=True):
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def fixed_step(backend: TritonLora, mixes: list[Mix], inputs: Tensor, before: Tensor) -> tuple[Tensor, list[int]]:
    """The update of ``POINT`` in a fixed step, and where its plan lies."""
    output = before.clone()
    backend.begin(mixes, fixed=True)
    assert backend._step is not None
    places = [part.data_ptr() for part in vars(backend._step).values()]
    backend.apply(POINT, output, inputs)
    backend.end()
    return output, places


def test_a_fixed_step_equals_the_reference_and_lies_where_the_last_one_lay(base: BaseModel) -> None:
    """Other mixes, groups and rows of padding: the same launches on the same memory."""
    adapters = [random_weights(base, seed=seed, rank=rank, scaling=scaling) for seed, rank, scaling in ADAPTERS]
    plain, triton = both(base, adapters)
    one, two, three = (Term(weights.weights_digest, 0.5) for weights in adapters[:3])
    steps: list[list[Mix]] = [[(one, two, three), (), (two,), (), ()], [(three, one, one)] * 4 + [()]]
    launches, places = [], []
    for mixes in steps:
        inputs, before = torch.randn(5, 64, device=DEVICE), torch.randn(5, 64, device=DEVICE)
        launches.append(triton.begin(mixes, fixed=True))
        expected = updated(plain, base, POINT, mixes, inputs, before)
        got, place = fixed_step(triton, mixes, inputs, before)
        places.append(place)
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert torch.equal(got[4], before[4])
    assert launches[0] == launches[1] is not None
    assert places[0] == places[1]


def test_what_a_fixed_step_launches_changes_with_more_points_and_ranks_only(base: BaseModel) -> None:
    first, second = random_weights(base, [POINT], rank=3), random_weights(base, [(2, "mlp.up_proj")], rank=20, seed=1)
    _, triton = both(base, [first])
    mixes: list[Mix] = [(Term(first.weights_digest),), ()]
    before = triton.begin(mixes, fixed=True)
    triton.put(second)
    grown = triton.begin(mixes, fixed=True)
    triton.remove(second.weights_digest)
    assert before != grown == triton.begin(mixes, fixed=True)
    assert triton.acts_at((2, "mlp.up_proj")), "a graph launches there, and finds no tokens"
    assert triton.begin([(), ()], fixed=True) == ()
    assert triton.begin(mixes) is None, "what is not fixed cannot be captured"


@pytest.mark.slow
def test_the_kernels_compile_for_nvidia_gpus_without_having_one() -> None:
    """In a process of its own: the interpreter replaces the compiler where it is on."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.injection.compile_kernels"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    compiled = [line.split() for line in run.stdout.splitlines()]
    assert {(kernel, dtype) for kernel, dtype, _ in compiled} == {
        (kernel, dtype) for kernel in ("_shrink", "_expand") for dtype in ("bf16", "fp16", "fp32")
    }
    assert all((products == "tensor-cores") == (dtype != "fp32") for _, dtype, products in compiled)


def test_gated_tokens_beside_others_equal_the_reference() -> None:
    base = make_base()
    adapters = [random_weights(base, [POINT], rank, seed, scaling) for seed, rank, scaling in ADAPTERS[:3]]
    first, second, third = (weights.weights_digest for weights in adapters)
    gated = gate_mix((Term(first), Term(second, 0.5)), arrow_gate(adapters[:2], temperature=0.5))
    mixes: list[Mix] = [(), gated, (Term(third, 2.0),), (*gated, Term(third)), gated]
    torch.manual_seed(0)
    spec = base.points[POINT]
    inputs = torch.randn(len(mixes), spec.d_in, device=DEVICE)
    before = torch.randn(len(mixes), spec.d_in, device=DEVICE)
    plain, triton = (updated(backend, base, POINT, mixes, inputs, before) for backend in both(base, adapters))
    assert (plain - triton).abs().max() < TOLERANCE[torch.float32] * plain.abs().max()
    assert torch.equal(triton[0], before[0])
