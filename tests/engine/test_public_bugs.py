"""Faults that another server (vLLM) was reported for, each under its number; more of them are in
`engine/cache/test_prefix.py`."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from adaptrix_core.adapters import describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineLoop
from adaptrix_core.errors import AdapterExists, AdapterNotFound, AdapterRejected
from adaptrix_core.injection.lora import LoraWeights
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import drain, request, safe_length
from tests.engine.histories import Histories
from tests.engine.peft_cases import save_peft
from tests.tiny_models import random_base, random_module, random_prompts, random_weights

CUT = 2
PROMPT = random_prompts([22], seed=5)[0]


def above_the_cut(base: BaseModel, seed: int) -> LoraWeights:
    return random_weights(base, [point for point in base.points if point[0] >= CUT], seed=seed)


# --- path reuse in place ---------------------------------------------------------------------------------------------


def overwrite(path: Path, base: BaseModel, weights: LoraWeights) -> None:
    """Put other weights into the very files of a package, as a careless copy does."""
    fresh = path.parent / f"{path.name}-fresh"
    write_package(fresh, describe(weights, base.info, path.name), weights)
    assert {file.name for file in fresh.iterdir()} == {file.name for file in path.iterdir()}
    for file in fresh.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    shutil.rmtree(fresh)


@pytest.mark.parametrize("room", ["roomy", "cramped"])
def test_vllm_42125_a_path_reused_in_place_serves_new_weights_and_running_rows_keep_the_old(
    make_engine: MakeEngine, save_adapter: Callable[..., Path], room: str
) -> None:
    sizes = {"roomy": {}, "cramped": {"kv_cache_tokens": 64, "max_batch_tokens": 8, "mixed_prefill_tokens": 7}}[room]
    engine = make_engine(adapters=(), cut=CUT, **sizes)
    cold = make_engine(adapters=(), prefix_cache=False)
    old, new = (above_the_cut(engine.base, seed) for seed in (1, 2))
    path = save_adapter(engine.base, "mine", old)
    for where in (engine, cold):
        where.load_adapter(path, "mine")

    histories = Histories(engine)
    histories.add("old", PROMPT, "mine", max_tokens=16)
    histories.step(5)
    overwrite(path, engine.base, new)
    with pytest.raises(AdapterExists, match="unload it first"):
        engine.load_adapter(path, "mine")
    histories.step()
    engine.unload_adapter("mine")
    assert engine.load_adapter(path, "mine").weights_digest == new.weights_digest != old.weights_digest
    cold.load_adapter(path, "new")
    taken = list(engine.prefixes.hit_tokens)
    histories.add("new", PROMPT, "mine", max_tokens=16)
    histories.drain()

    assert histories.check(cold) == 32
    assert engine.prefixes.hit_tokens[0] > taken[0], "the trunk is the same for both"
    if room == "roomy":
        assert engine.prefixes.hit_tokens[1] == taken[1]
    else:
        assert engine.scheduler.num_preemptions > 0
    assert [p.row.mix[0].adapter for p in histories.passages] == [old.weights_digest, new.weights_digest]


def test_vllm_42125_an_evicted_adapter_is_not_replaced_by_what_its_path_holds_now(
    make_engine: MakeEngine, save_adapter: Callable[..., Path]
) -> None:
    base = random_base()
    old, new = (above_the_cut(base, seed) for seed in (1, 2))
    engine = make_engine(base=base, adapters=(), cut=CUT, loader={"host_budget_bytes": old.nbytes})
    path = save_adapter(base, "mine", old)
    engine.load_adapter(path, "mine")
    mix = engine.resolve_mix("mine")
    overwrite(path, base, new)
    engine.load_adapter(save_adapter(base, "other", above_the_cut(base, 3)), "other")
    with pytest.raises(AdapterNotFound, match="replaced"):
        engine.add(request("decided before", PROMPT, mix))
    assert [term.adapter for term in engine.resolve_mix("mine")] == [new.weights_digest]


# --- unload and reload under load ------------------------------------------------------------------------------------

TENANTS = ("ann", "bob", "cid")
ACTIONS = 40
DEADLINE_S = 120


class Tenants:
    """Three names, each with two sets of weights that take turns at its path, and what every set must answer."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.weights = {
            name: [random_weights(engine.base, seed=10 * number + turn) for turn in range(2)]
            for number, name in enumerate(TENANTS)
        }
        self.info = engine.base.info
        self.directory = directory
        self.served: list[str] = []
        for name in TENANTS:
            self.replace(name, 0)

    def replace(self, name: str, turn: int) -> Path:
        """Publish one of a tenant's sets at the tenant's path."""
        weights = self.weights[name][turn]
        write_package(self.directory / name, describe(weights, self.info, name), weights)
        return self.directory / name

    def expected(self, engine: Engine) -> dict[str, tuple[int, ...]]:
        """Weights digest -> the answer, from an engine that does nothing else."""
        answers = {}
        for name in TENANTS:
            for turn in range(2):
                engine.load_adapter(self.replace(name, turn), name)
                [alone] = engine.generate([PROMPT], name, request("x", PROMPT, max_tokens=6, logprobs=2).params)
                assert safe_length(alone) == len(alone.token_ids), "a choice too close for this test"
                answers[self.weights[name][turn].weights_digest] = alone.token_ids
                engine.unload_adapter(name)
        assert len(set(answers.values())) == len(answers)
        return answers


async def _act(loop: EngineLoop, tenants: Tenants, answers: dict[str, tuple[int, ...]], seed: int) -> None:
    choose = random.Random(seed)
    for number in range(ACTIONS):
        name = choose.choice(TENANTS)
        try:
            match choose.choice(["load", "unload", "generate", "generate", "generate"]):
                case "load":
                    await loop.load_adapter(tenants.replace(name, choose.randrange(2)), name)
                case "unload":
                    await loop.call(Engine.unload_adapter, name)
                case "generate":
                    mix = await loop.resolve_mix(name)
                    own = {weights.weights_digest for weights in tenants.weights[name]}
                    assert {term.adapter for term in mix} <= own, "another tenant's weights"
                    asked = request(f"{seed}-{number}", PROMPT, mix, max_tokens=6)
                    events = [event async for event in loop.generate(asked)]
                    assert [event.error for event in events if event.error] == []
                    assert tuple(event.token_id for event in events) == answers[mix[0].adapter]
                    tenants.served.append(mix[0].adapter)
        except (AdapterNotFound, AdapterExists):
            continue  # unloaded by another thread, or loaded by one with the other weights: refused, never confused


def test_vllm_47724_unload_and_reload_under_load_never_serves_another_tenants_adapter(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    base = random_base()
    nbytes = random_weights(base).nbytes
    crowded = {"host_budget_bytes": 4 * nbytes, "device_budget_bytes": 2 * nbytes}
    engine = make_engine(base=base, adapters=(), cut=1, max_rows=4, kv_cache_tokens=160, loader=crowded)
    tenants = Tenants(engine, tmp_path / "tenants")
    answers = tenants.expected(make_engine(adapters=(), prefix_cache=False))
    loop = EngineLoop(engine)
    loop.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            acting = [pool.submit(lambda s=s: asyncio.run(_act(loop, tenants, answers, s))) for s in range(4)]
            for future in acting:
                future.result(DEADLINE_S)
        assert asyncio.run(loop.call(idle_faults)) == []
    finally:
        loop.stop()
    assert len(set(tenants.served)) > len(TENANTS), "nobody's weights were ever exchanged, so this shows little"


# --- an adapter that binds nothing -----------------------------------------------------------------------------------


def edit_peft(directory: Path, key: Callable[[str], str | None], **config: Any) -> None:
    """Rename or drop (None) the tensors of a PEFT directory, and change its config."""
    file = directory / "adapter_model.safetensors"
    tensors = {key(name): tensor for name, tensor in safetensors.torch.load_file(file).items()}
    tensors.pop(None, None)
    safetensors.torch.save_file(tensors, file)
    settings = directory / "adapter_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), **config}))


BINDS_NOTHING: dict[str, tuple[str, Callable[[Path], None]]] = {
    "names under another prefix": (
        "unknown_module",
        lambda p: edit_peft(p, lambda name: name.replace("model.layers", "language_model.layers")),
    ),
    "a prefix that is not PEFT's": (
        "unexpected_tensor",
        lambda p: edit_peft(p, lambda name: name.removeprefix("base_model.model.")),
    ),
    "modules that the base lacks": (
        "unknown_module",
        lambda p: edit_peft(p, lambda name: name.replace("_proj", "_projection"), target_modules=["q_projection"]),
    ),
    "targets that match no tensor": (
        "unexpected_tensor",
        lambda p: edit_peft(p, lambda name: name, target_modules=["nothing_at_all"]),
    ),
    "no tensors": ("no_tensors", lambda p: edit_peft(p, lambda name: None, target_modules=["nothing_at_all"])),
}


@pytest.mark.parametrize("case", BINDS_NOTHING)
def test_vllm_34186_an_adapter_that_binds_nothing_is_refused_and_never_answers_as_the_base(
    make_engine: MakeEngine, tmp_path: Path, case: str
) -> None:
    code, spoil = BINDS_NOTHING[case]
    save_peft(random_module(), tmp_path / "peft")
    spoil(tmp_path / "peft" / "everything")
    engine = make_engine(adapters=())
    with pytest.raises(AdapterRejected) as refused:
        engine.load_adapter(tmp_path / "peft" / "everything", "mine")
    assert refused.value.code == code, refused.value.message
    assert "everything" in refused.value.message
    assert engine.loader.loaded_names() == {}
    with pytest.raises(AdapterNotFound, match="mine"):
        engine.generate([PROMPT], "mine")
    assert drain(engine) == []
