"""`Engine.generate` samples as the adapter, then the model asks, wherever the parameters leave it open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base import BaseModelManager
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.sampling import SamplingDefaults
from tests.tiny_models import random_base, random_module, random_prompts, random_weights

PROMPT = random_prompts([6])[0]
GREEDY = SamplingDefaults(temperature=0.0)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """``asks`` wants greedy, ``silent`` wants nothing; the model itself wants the 3 likeliest."""
    base = random_base()
    base.sampling = SamplingDefaults(top_k=3)
    for seed, (name, wishes) in enumerate({"asks": GREEDY, "silent": None}.items()):
        weights = random_weights(base, [(2, "mlp.up_proj")], seed=seed)
        write_package(tmp_path / name, describe(weights, base.info, name, sampling=wishes), weights)
    return Engine(base, tmp_path, TrustPolicy("off"))


def tokens(engine: Engine, adapter: object, count: int = 8, **params: object) -> set[tuple[int, ...]]:
    """What a prompt is answered with when it is asked several times."""
    given = SamplingParams(max_tokens=10, ignore_eos=True, **params)  # type: ignore[arg-type]
    completions = engine.generate([PROMPT] * count, [adapter] * count, given)  # type: ignore[list-item]
    return {completion.token_ids for completion in completions}


def test_an_open_temperature_is_the_adapters(engine: Engine) -> None:
    greedy = tokens(engine, "asks", temperature=0.0)
    assert tokens(engine, "asks") == greedy
    assert len(tokens(engine, "asks", temperature=1.0)) > 1, "the request wins"
    assert len(tokens(engine, "silent")) > 1
    assert len(tokens(engine, None)) > 1


def test_what_the_adapter_leaves_open_is_the_models(engine: Engine) -> None:
    assert tokens(engine, "silent", seed=4) == tokens(engine, "silent", seed=4, temperature=1.0, top_k=3)
    assert tokens(engine, "silent", seed=4) != tokens(engine, "silent", seed=4, top_k=0)


def test_a_mix_is_sampled_as_its_heaviest_adapter_asks(engine: Engine) -> None:
    assert len(tokens(engine, {"silent": 0.3, "asks": 0.7})) == 1
    assert len(tokens(engine, {"silent": 0.7, "asks": 0.3})) > 1


def test_a_fork_is_sampled_alike_in_all_of_its_rows(engine: Engine) -> None:
    params = SamplingParams(max_tokens=10, ignore_eos=True)
    runs = {
        tuple(completion.token_ids for completion in engine.generate([PROMPT], fork=[None, "asks"], params=params))
        for _ in range(5)
    }
    assert len(runs) == 1


def test_several_choices_differ(engine: Engine) -> None:
    params = SamplingParams(max_tokens=10, ignore_eos=True, n=4)
    assert len({completion.token_ids for completion in engine.generate([PROMPT], "asks", params)}) > 1


def test_the_choice_is_told(engine: Engine) -> None:
    assert engine.sampling_defaults("asks").named() == {
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 3,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }
    assert engine.sampling_defaults(None).temperature == 1.0


def test_a_directorys_generation_config_is_the_models_wish(tmp_path: Path) -> None:
    module = random_module()
    module.generation_config.update(temperature=0.4, top_p=0.8, do_sample=True)
    module.save_pretrained(tmp_path / "model")
    base = BaseModelManager(str(tmp_path / "model"), "cpu", "fp32").load_model()
    assert base.sampling.named() == {"temperature": 0.4, "top_p": 0.8}


def test_the_packed_form_of_a_model_asks_for_the_same(tmp_path: Path, save_packable: Callable[[Path], Path]) -> None:
    directory = save_packable(tmp_path / "model")
    wishes = [
        BaseModelManager(str(directory), "cpu", precision).load_model().sampling for precision in ("fp32", "int8")
    ]
    assert wishes[0] == wishes[1] == SamplingDefaults(temperature=0.4)


@pytest.fixture
def save_packable() -> Callable[[Path], Path]:
    def save(directory: Path) -> Path:
        module = random_module()
        module.generation_config.update(temperature=0.4, do_sample=True)
        module.save_pretrained(directory)
        return directory

    return save
