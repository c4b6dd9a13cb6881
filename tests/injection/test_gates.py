"""Gates weigh a mix's adapters token by token: as PEFT's Arrow does, as a reference by hand does, in every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import ArrowConfig, create_arrow_model
from torch import Tensor

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.adapters.peft.conversion import export_peft
from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection import LoraWeights, PointWeights, Term
from adaptrix_core.injection.arrow import arrow_gate, top_input_direction
from adaptrix_core.injection.gate import Gate, Gated, PointGate, gate_mix
from adaptrix_core.injection.mix import constant
from adaptrix_core.native.structs import MOST_GATE_TERMS
from adaptrix_core.request_limits import MOST
from tests.engine.driving import drain, tokens_of
from tests.native.packed_models import VARIANTS, twins
from tests.tiny_models import CONFIGS, random_base, random_module, random_prompts, random_weights

NAMES = ("red", "green", "blue")
PROMPTS = random_prompts([13, 5, 30])
TERMS = tuple(Term(name) for name in NAMES)


def adapters_of(base: BaseModel) -> dict[str, LoraWeights]:
    """Three adapters at the same points, each with one input direction on which it acts far more than on others."""
    points = [p for p in base.points if p[1] in ("self_attn.q_proj", "mlp.up_proj")]
    return {name: _peaked(random_weights(base, points, seed=seed)) for seed, name in enumerate(NAMES)}


def _peaked(weights: LoraWeights) -> LoraWeights:
    def raised(at: PointWeights) -> PointWeights:
        return PointWeights(at.lora_a, at.lora_b * torch.tensor([3.0, 0.3, 0.3]), at.scaling)

    return LoraWeights({point: raised(at) for point, at in weights.points.items()})


def engine_of(base: BaseModel, directory: Path, adapters: dict[str, LoraWeights], **options: Any) -> Engine:
    sizes = EngineOptions(**{"block_size": 4, "kv_cache_tokens": 1024, "max_batch_tokens": 128, **options})
    engine = Engine(base, directory / "catalogue", TrustPolicy("off"), sizes)
    for name, weights in adapters.items():
        if not (directory / name).exists():
            write_package(directory / name, describe(weights, base.info, name), weights)
        engine.load_adapter(directory / name)
    return engine


def learned_gate(adapters: Sequence[LoraWeights], seed: int = 5) -> Gate:
    """A gate with random directions and offsets, which weighs tokens very differently."""
    generator = torch.Generator().manual_seed(seed)

    def at(d_in: int) -> PointGate:
        directions = torch.randn(len(adapters), d_in, generator=generator)
        return PointGate(directions, torch.randn(len(adapters), generator=generator) * 0.3, (True,) * len(adapters))

    return Gate({point: at(own.lora_a.shape[1]) for point, own in adapters[0].points.items()}, len(adapters))


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_arrow_is_pefts(top_k: int, tmp_path: Path) -> None:
    base = random_base("llama")
    adapters = adapters_of(base)
    for name, weights in adapters.items():
        export_peft(weights, base, tmp_path / "peft" / name)
    config = ArrowConfig(top_k=top_k, router_temperature=0.7)
    paths = [str(tmp_path / "peft" / name) for name in NAMES]
    model = create_arrow_model(random_module("llama"), paths, config).eval()
    gate = arrow_gate([adapters[name] for name in NAMES], top_k, 0.7)
    mine = engine_of(base, tmp_path, adapters).logits(PROMPTS, gate_mix(TERMS, gate))
    for prompt, logits in zip(PROMPTS, mine, strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor([prompt])).logits[0]
        assert relative(logits, expected) < 1e-4


@pytest.mark.parametrize("variant", ["llama", "gemma2", "phi3", "gpt2", "gpt_neox", "opt"])
def test_a_learned_gate_is_the_weighted_sum_by_hand(variant: str, tmp_path: Path) -> None:
    assert variant in CONFIGS
    base = random_base(variant)
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate(NAMES)}
    gate = learned_gate([adapters[name] for name in NAMES])
    factors = (1.0, 0.5, -0.7)
    mix = gate_mix([Term(name, factor) for name, factor in zip(NAMES, factors, strict=True)], gate)
    actual = engine_of(base, tmp_path, adapters).logits(PROMPTS[:1], mix)[0]

    plain = random_module(variant)
    layers = base.family.layers(plain)
    for (layer, module), at in gate.points.items():
        spec = base.points[layer, module]
        terms = [(adapters[name].points[layer, module], factor) for name, factor in zip(NAMES, factors, strict=True)]

        def add(_module: Any, args: Any, output: Tensor, at=at, terms=terms, part=spec.part) -> None:
            inputs = args[0].reshape(-1, args[0].shape[-1])
            shares = torch.softmax(inputs @ at.directions.T, -1) + at.offsets
            for place, (own, factor) in enumerate(terms):
                update = inputs @ own.lora_a.T @ own.lora_b.T * own.scaling * factor * shares[:, place, None]
                target = part.view(output.view(-1, output.shape[-1]))
                target.add_(update.view(target.shape))

        layers[layer].get_submodule(spec.module_path).register_forward_hook(add)
    with torch.inference_mode():
        expected = plain(torch.tensor([PROMPTS[0]])).logits[0]
    assert relative(actual, expected) < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_packed_layers_weigh_as_unpacked_ones(variant: str, tmp_path: Path) -> None:
    packed, plain = twins(variant)
    adapters = {name: random_weights(plain, seed=seed) for seed, name in enumerate(NAMES)}
    small = {p: PointGate(a.directions * 0.05, a.offsets * 0, a.acting) for p, a in _gate(adapters).points.items()}
    mix = gate_mix(TERMS, Gate(small, 3))
    actual = engine_of(packed, tmp_path / "packed", adapters).logits(PROMPTS, mix)
    expected = engine_of(plain, tmp_path / "plain", adapters).logits(PROMPTS, mix)
    uniform = tuple(Term(name, 1 / 3) for name in NAMES)
    static = engine_of(plain, tmp_path / "static", adapters).logits(PROMPTS, uniform)
    for a, e, s in zip(actual, expected, static, strict=True):
        assert relative(a, e) < 1e-2
        assert relative(e, s) > 5e-2  # the comparison would be worth nothing if the gate weighed all tokens alike


def _gate(adapters: dict[str, LoraWeights]) -> Gate:
    return learned_gate([adapters[name] for name in NAMES])


@pytest.fixture(params=["plain", "packed"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    base = dict(zip(("packed", "plain"), twins("qwen2"), strict=True))[request.param]
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate(NAMES)}
    return engine_of(base, tmp_path, adapters, cut=1)


def gate_in(engine: Engine, seed: int = 5) -> Gate:
    return learned_gate([engine.load_adapter(name).weights for name in NAMES], seed)


def test_a_gate_without_preference_is_the_mean(engine: Engine) -> None:
    gate = gate_in(engine)
    level = {p: PointGate(a.directions * 0, a.offsets * 0, a.acting) for p, a in gate.points.items()}
    actual = engine.logits(PROMPTS, gate_mix(TERMS, Gate(level, 3)))
    expected = engine.logits(PROMPTS, tuple(Term(name, 1 / 3) for name in NAMES))
    assert all(relative(a, e) < 1e-5 for a, e in zip(actual, expected, strict=True))


def test_top_k_takes_the_first_of_equals(engine: Engine) -> None:
    gate = gate_in(engine)
    level = {p: PointGate(a.directions * 0, a.offsets * 0, a.acting) for p, a in gate.points.items()}
    actual = engine.logits(PROMPTS, gate_mix(TERMS, Gate(level, 3, top_k=2)))
    expected = engine.logits(PROMPTS, (Term("red", 0.5), Term("green", 0.5)))
    assert all(relative(a, e) < 1e-5 for a, e in zip(actual, expected, strict=True))


def test_points_without_a_gate_have_the_terms_own_weights(engine: Engine) -> None:
    mix = gate_mix([Term(name, 0.25) for name in NAMES], Gate({}, 3))
    expected = engine.logits(PROMPTS, tuple(Term(name, 0.25) for name in NAMES))
    assert all(relative(a, e) < 1e-5 for a, e in zip(engine.logits(PROMPTS, mix), expected, strict=True))


def test_schedules_and_neighbours_change_nothing(engine: Engine) -> None:
    gated, choices = gate_mix(TERMS, gate_in(engine)), ["red", None, {"red": 0.5, "blue": -0.25}]
    alone = engine.logits(PROMPTS, gated)
    without = engine.logits(PROMPTS, choices)
    together = engine.logits([*PROMPTS, *PROMPTS], [gated, *choices, gated, gated][:6])
    assert relative(together[0], alone[0]) < 1e-5
    for logits, expected in zip(engine.logits(PROMPTS, gated, schedule="stepwise"), alone, strict=True):
        assert relative(logits, expected) < 1e-5
    again = engine.logits(PROMPTS, choices)
    assert all(map(torch.equal, again, without))  # nothing of a gate stays behind


def test_a_composition_names_arrow(engine: Engine) -> None:
    adapters = [engine.load_adapter(name).weights for name in ("red", "blue")]
    by_hand = gate_mix([Term("red", 1.0), Term("blue", 0.5)], arrow_gate(adapters, top_k=1, temperature=0.3))
    named = {"parallel": {"red": 1.0, "blue": 0.5}, "combine": "gate", "top_k": 1, "temperature": 0.3}
    assert engine.resolve_mix(named) == engine.resolve_mix(by_hand)
    first, again = (engine.resolve_mix(named)[0].gated for _ in range(2))
    assert isinstance(first, Gated)
    assert isinstance(again, Gated)
    assert first.gate is again.gate  # made once for all requests
    params = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True)
    answers = [engine.generate(PROMPTS, choice, params) for choice in (named, by_hand)]
    assert [a.token_ids for a in answers[0]] == [a.token_ids for a in answers[1]]


def test_keys_and_values_are_kept_apart_by_gates(engine: Engine) -> None:
    first, second = (gate_mix(TERMS, gate_in(engine, seed)) for seed in (5, 6))
    params = SamplingParams(max_tokens=2, temperature=0.0, ignore_eos=True)

    def branch_hits(choice: Any) -> int:
        before = engine.prefixes.hit_tokens[1]
        engine.generate([PROMPTS[2]], [choice], params)
        return engine.prefixes.hit_tokens[1] - before

    static = tuple(Term(name, 1.0) for name in NAMES)
    assert [branch_hits(choice) for choice in (static, first, second)] == [0, 0, 0]
    assert all(branch_hits(choice) > 0 for choice in (static, first, second))


def test_an_answer_is_the_same_again_in_company_from_the_cache_and_resumed(engine: Engine, tmp_path: Path) -> None:
    gated, prompt = gate_mix(TERMS, gate_in(engine)), PROMPTS[2]
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    first = engine.generate([prompt], gated, params)[0].token_ids
    hits = engine.prefixes.hit_tokens[-1]
    again = engine.generate([prompt], gated, params)[0].token_ids
    assert engine.prefixes.hit_tokens[-1] > hits
    beside = engine.generate([PROMPTS[0], prompt, PROMPTS[1]], ["red", gated, gated], params)[1].token_ids
    elsewhere = engine_of(engine.base, tmp_path / "other", {n: engine.load_adapter(n).weights for n in NAMES}, cut=1)
    rest = elsewhere.generate([[*prompt, *first[:3]]], gated, replace(params, max_tokens=5))[0].token_ids
    assert again == beside == first
    assert rest == first[3:]


def test_a_gate_may_come_and_go_between_tokens(engine: Engine) -> None:
    gated = gate_mix(TERMS, gate_in(engine))
    params = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)
    stream = engine.stream(PROMPTS[0], "red", params)
    taken = [next(stream)]
    engine.switch(taken[0].request_id, gated, history="recompute")
    taken += list(stream)
    ids = [event.token_id for event in taken if event.token_id is not None]
    follows = engine.generate([[*PROMPTS[0], *ids[:1]]], [gated], replace(params, max_tokens=5))
    assert ids[1:] == list(follows[0].token_ids)


def test_an_adapter_has_no_share_where_it_has_no_weights() -> None:
    base = random_base("llama")
    one = random_weights(base, [(1, "self_attn.q_proj"), (2, "mlp.up_proj")])
    other = random_weights(base, [(1, "self_attn.q_proj")], seed=1)
    at = arrow_gate([one, other]).points[2, "mlp.up_proj"]
    weights = arrow_gate([one, other]).weights_at(at, torch.randn(7, 64))
    assert torch.equal(weights, torch.tensor([[1.0, 0.0]]).expand(7, 2))


def test_the_direction_is_the_top_singular_vector() -> None:
    weights = random_weights(random_base("llama"), [(1, "mlp.up_proj")], rank=8).points[1, "mlp.up_proj"]
    direction = top_input_direction(weights)
    expected = torch.linalg.svd(weights.lora_b @ weights.lora_a).Vh[0]
    assert abs(float(direction @ expected)) == pytest.approx(1.0, abs=1e-5)


def test_equal_gates_have_equal_digests_and_others_not() -> None:
    adapters = list(adapters_of(random_base("llama")).values())
    gates = [learned_gate(adapters), learned_gate(adapters), learned_gate(adapters, 6), arrow_gate(adapters)]
    gates += [Gate(gates[0].points, 3, top_k=2), Gate(gates[0].points, 3, temperature=2.0)]
    assert gates[0] == gates[1]
    assert len({gate.gate_digest for gate in gates}) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_terms": 2}, "weighs 3 adapters, not 2"),
        ({"num_terms": 17}, "allowed: 1 to 16"),
        ({"top_k": 4}, "top_k is 4"),
        ({"top_k": 0}, "top_k is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
    ],
)
def test_what_is_no_gate_is_refused(changes: dict[str, Any], message: str) -> None:
    points = learned_gate(list(adapters_of(random_base("llama")).values())).points
    with pytest.raises(InvalidRequest, match=message):
        Gate(**{"points": points, "num_terms": 3, **changes})


def test_numbers_that_are_not_finite_are_refused() -> None:
    points = dict(learned_gate(list(adapters_of(random_base("llama")).values())).points)
    point, at = points.popitem()
    at.directions[1, 2] = float("nan")
    with pytest.raises(InvalidRequest, match="not finite; train it again"):
        Gate({point: at}, 3)


def test_weights_that_overflow_at_run_time_end_their_own_row_alone(engine: Engine) -> None:
    gate, params = gate_in(engine), SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)
    vast = {p: PointGate(a.directions.sign() * 3e38, a.offsets, a.acting) for p, a in gate.points.items()}
    overflowing = constant(engine.resolve_mix(gate_mix(TERMS, Gate(vast, 3))))
    neighbours: list[Any] = [gate_mix(TERMS, gate), "red", None]
    without = [one.token_ids for one in engine.generate(PROMPTS, neighbours, params)]
    for number, (prompt, choice) in enumerate(zip(PROMPTS, neighbours, strict=True)):
        mix = constant(engine.resolve_mix(choice))
        engine.add(GenerationRequest(f"n{number}", tuple(prompt), params, (mix,)))
    engine.add(GenerationRequest("vast", tuple(PROMPTS[2]), params, (overflowing,)))
    events = drain(engine)
    (ended,) = [event for event in events if event.request_id == "vast"]
    assert (ended.finish_reason, ended.token_id) == ("error", None)
    assert "not finite" in (ended.error or "")
    beside = tokens_of(events)
    assert [tuple(beside[f"n{number}", 0]) for number in range(3)] == without
    assert [one.token_ids for one in engine.generate(PROMPTS, neighbours, params)] == without, "nothing of it was kept"
    assert engine.check_integrity() == []


def test_a_mix_without_all_terms_of_its_gate_is_refused(engine: Engine) -> None:
    gated = gate_mix(TERMS, gate_in(engine))
    for wrong, message in ((gated[:2], "has 2; each of its terms"), ((*gated, gated[0]), "two terms have place 0")):
        with pytest.raises(InvalidRequest, match=message):
            engine.logits(PROMPTS, wrong)
    with pytest.raises(InvalidRequest, match="name at least two"):
        arrow_gate([engine.load_adapter("red").weights])


def test_an_activated_adapter_is_refused(tmp_path: Path) -> None:
    base = random_base("llama")
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate(NAMES)}
    adapters["red"] = replace(adapters["red"], invocation_tokens=(5, 6))
    engine = engine_of(base, tmp_path, adapters)
    with pytest.raises(InvalidRequest, match="no place in a gate"):
        engine.logits([[2, 5, 6, 3]], gate_mix(TERMS, gate_in(engine)))


def test_the_kernels_weigh_as_many_terms_as_a_mix_may_have() -> None:
    assert MOST.mix_terms == MOST_GATE_TERMS
