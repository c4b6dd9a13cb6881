"""Weights reduced by attention: the main adapter stays, the others lose what they disturb of its attention."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.context import ContextValidator
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.training.evaluation.attention_reduction import reduced_by_attention
from tests.tiny_models import byte_tokenizer, random_base, random_weights

PROMPTS = {"red": ["Say a.", "Say b."], "blue": ["Say c."]}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    base = random_base(tokenizer=byte_tokenizer())
    for seed, name in enumerate(PROMPTS):
        weights = random_weights(base, seed=seed)
        write_package(tmp_path / "adapters" / name, describe(weights, base.info, name), weights)
    return Engine(base, tmp_path / "adapters", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=1024))


def test_the_other_adapter_keeps_what_it_does_not_disturb(engine: Engine) -> None:
    mix = {"red": 1.0, "blue": 0.01}
    found = reduced_by_attention(engine, mix, PROMPTS)
    assert found["red"] == 1.0
    assert 0 < found["blue"] < 0.01
    own = _moved(engine, {"red": 1.0})
    assert own > 0


def test_an_adapter_that_disturbs_more_than_the_main_one_moves_is_switched_off(engine: Engine) -> None:
    assert reduced_by_attention(engine, {"red": 0.01, "blue": 0.009}, PROMPTS)["red"] == 0.01
    strong = reduced_by_attention(engine, {"blue": 0.5, "red": 0.5}, PROMPTS)
    assert strong["blue"] == 0.5  # of equal weights the first one is the main one
    assert 0 <= strong["red"] < 0.5


def test_the_more_an_adapter_disturbs_the_less_is_left(engine: Engine) -> None:
    shares = [
        reduced_by_attention(engine, {"red": 1.0, "blue": weight}, PROMPTS)["blue"] / weight
        for weight in (0.01, 0.1, 0.5)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def _moved(engine: Engine, mix: dict[str, float]) -> float:
    report = ContextValidator(engine).compare([{"role": "user", "content": "Say a."}], mix)
    assert report.attention_drift is not None
    return float(report.attention_drift.mean())
