"""An engine over packed weights computes what the same weights compute unpacked, and is exact in everything else.

Activations are rounded to 16 bits beside 8-bit weights, and keys and values to half precision; these random models
magnify that to less than a hundredth of the largest logit, while a lost window, bias, norm or adapter moves it by
more than a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptrix_core.engine.deferred import Deferred, Settled
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from adaptrix_core.injection.mix import constant
from tests.native.packed_models import VARIANTS, twins
from tests.tiny_models import random_prompts, random_weights

GREEDY = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)
SCORED = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True, logprobs=5)
PROMPTS = random_prompts([13, 5, 30])

MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(tmp_path: Path) -> MakeEngine:
    """An engine with two adapters: ``red`` on every module of layers 1 and 2, ``blue`` on two modules of layer 3."""

    def build(base: BaseModel, **options: int | bool | None) -> Engine:
        sizes = EngineOptions(**{"block_size": 4, "kv_cache_tokens": 1024, "max_batch_tokens": 128, **options})
        engine = Engine(base, tmp_path / f"catalogue-{id(base)}", TrustPolicy("off"), sizes)
        for name, weights in adapters(base).items():
            directory = tmp_path / f"{id(base)}" / name
            if not directory.exists():
                write_package(directory, describe(weights, base.info, name), weights)
            engine.load_adapter(directory)
        return engine

    return build


def adapters(base: BaseModel) -> dict[str, LoraWeights]:
    late = [p for p in base.points if p[0] == 3 and p[1] in ("self_attn.v_proj", "mlp.down_proj")]
    return {"red": random_weights(base, seed=3), "blue": random_weights(base, late, rank=5, seed=4)}


@pytest.mark.parametrize("choice", [None, "red", "blue", {"red": 0.5, "blue": -0.25}])
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_those_of_the_unpacked_weights(variant: str, choice: object, make_engine: MakeEngine) -> None:
    packed, plain = twins(variant)
    actual = make_engine(packed).logits(PROMPTS, choice)
    expected = make_engine(plain).logits(PROMPTS, choice)
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() <= 1e-2 * e.abs().max()


@pytest.mark.parametrize("cut", [None, 2])
@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_schedules_batches_and_neighbours_do_not_change_a_bit(layout: str, cut: int | None, make_engine) -> None:
    packed, _ = twins("qwen2", layout)
    engine = make_engine(packed, cut=cut)
    choices = ["red", None, "blue"]
    together = engine.logits(PROMPTS, choices)
    for schedule in ("chunked", "stepwise"):
        assert all(map(torch.equal, engine.logits(PROMPTS, choices, schedule=schedule), together))
    alone = [engine.logits([prompt], choice)[0] for prompt, choice in zip(PROMPTS, choices, strict=True)]
    assert all(map(torch.equal, alone, together))


@pytest.mark.parametrize("cut", [None, 2])
def test_threads_and_lots_do_not_change_a_bit(cut: int | None, make_engine: MakeEngine) -> None:
    """The tokens of a step are divided into one lot more than there are threads, in the midst of rows, too; with a cut
    they are in different spans at the same time."""
    packed, _ = twins("qwen2", "int4")
    engine = make_engine(packed, cut=cut)
    before, outcomes = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            outcomes += [engine.logits(PROMPTS, ["red", None, "blue"]) for _ in range(20)]
    finally:
        torch.set_num_threads(before)
    assert all(all(map(torch.equal, outcome, outcomes[0])) for outcome in outcomes)


def test_base_rows_equal_an_engine_without_adapters(make_engine: MakeEngine) -> None:
    packed, _ = twins("llama")
    engine = make_engine(packed)
    beside = engine.logits(PROMPTS, ["red", None, "blue"])[1]
    engine.unload_adapter("red")
    engine.unload_adapter("blue")
    assert torch.equal(engine.logits(PROMPTS, None)[1], beside)


@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_forks_hits_and_cold_runs_choose_the_same_tokens(layout: str, make_engine: MakeEngine) -> None:
    packed, _ = twins("mistral", layout)
    cold = make_engine(packed, prefix_cache=False)
    warm = make_engine(packed, cut=3)
    expected = [cold.generate(PROMPTS[2:], choice, GREEDY)[0].token_ids for choice in (None, "blue")]
    forked = warm.generate(PROMPTS[2:], params=GREEDY, fork=[None, "blue"])
    again = [warm.generate(PROMPTS[2:], choice, GREEDY)[0].token_ids for choice in (None, "blue")]
    assert [c.token_ids for c in forked] == again == expected
    assert sum(warm.stats()["layer_tokens"][1][kind] for kind in ("computed", "taken_over")) > 0


def test_equal_tokens_in_another_layout_have_other_keys() -> None:
    layouts = {twins("llama", layout)[0].layout for layout in ("int4", "int8")}
    assert layouts == {"int4", "int8"}
    assert twins("llama")[1].layout == "float32"


def test_an_adapter_too_large_for_half_precision_is_kept_in_single(make_engine: MakeEngine, tmp_path: Path) -> None:
    packed, plain = twins("llama")
    point, value = next(iter(random_weights(plain, seed=9).points.items()))
    extreme = LoraWeights({point: PointWeights(value.lora_a * 1e6, value.lora_b * 1e-6, value.scaling)})
    write_package(tmp_path / "extreme", describe(extreme, plain.info, "extreme"), extreme)
    engine, reference = make_engine(packed), make_engine(plain)
    for one in (engine, reference):
        one.load_adapter(tmp_path / "extreme")
    actual, expected = engine.logits(PROMPTS, "extreme"), reference.logits(PROMPTS, "extreme")
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() <= 1e-2 * e.abs().max()


def test_a_bank_of_bytes_is_half_as_large_and_tells_its_error(make_engine: MakeEngine) -> None:
    packed, plain = twins("llama")
    halves, bytes_ = make_engine(packed), make_engine(packed, adapter_bank="int8")
    outcomes = {}
    for engine in (halves, bytes_):
        engine.generate(PROMPTS[:1], "red", GREEDY)
        [outcomes[engine.options.adapter_bank]] = engine.stats()["banks"].values()
    assert outcomes["int8"]["bytes"] < 0.7 * outcomes["half"]["bytes"]
    assert outcomes["half"]["error"] < 1e-3 < outcomes["int8"]["error"] < 1e-2
    actual, expected = bytes_.logits(PROMPTS, "red"), make_engine(plain).logits(PROMPTS, "red")
    assert all((a - e).abs().max() <= 5e-2 * e.abs().max() for a, e in zip(actual, expected, strict=True))


@pytest.mark.parametrize("who", ["blue", None])
def test_a_mix_settled_at_the_cut_is_computed_exactly_as_one_that_was_named(
    who: str | None, make_engine: MakeEngine
) -> None:
    engine = make_engine(twins("llama")[0], cut=2, prefix_cache=False)
    mix, prompt = engine.resolve_mix(who), tuple(PROMPTS[2])
    named = GenerationRequest("named", prompt, SCORED, (constant(mix),))
    deferred = GenerationRequest("deferred", prompt, SCORED, deferred=Deferred(((3, 20),), lambda means: Settled(mix)))
    told = {}
    for request in (named, deferred):
        (row,) = engine.add(request)
        events = [event for _ in range(8) if engine.has_work for event in engine.step()]
        told[request.request_id] = (row.output, [event.top_logprobs for event in events])
    assert told["deferred"] == told["named"]
