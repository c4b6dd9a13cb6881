"""What a mix does to its adapters' answers: equal to log-probabilities of whole logits, kept by digests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.composition.conflicts.expected_loss import HALF_LOST, expected_loss
from adaptrix_core.composition.conflicts.weight_conflict import displacement
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term
from adaptrix_core.training.evaluation.interference import InterferenceMeter
from tests.tiny_models import byte_tokenizer, random_base, random_weights

PROMPTS = {"red": ["Say a.", "Say b."], "blue": ["Say c.", "Say d."]}
TOKENS = 6


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    base = random_base(tokenizer=byte_tokenizer())
    for seed, name in enumerate(("red", "blue")):
        weights = random_weights(base, seed=seed)
        write_package(tmp_path / "adapters" / name, describe(weights, base.info, name), weights)
    return Engine(base, tmp_path / "adapters", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=1024))


def test_the_rise_is_the_difference_of_log_probabilities_of_the_adapters_own_answers(engine: Engine) -> None:
    mix = {"red": 0.5, "blue": 0.5}
    found = InterferenceMeter(engine, PROMPTS, TOKENS).measure(mix)
    for name, prompts in PROMPTS.items():
        rises, kept = [], []
        for text in prompts:
            prompt = engine.encode([{"role": "user", "content": text}])
            said = engine.generate([prompt], name, SamplingParams(max_tokens=TOKENS, temperature=0.0))[0].token_ids
            alone, mixed = (
                engine.logits([prompt + said], under)[0][len(prompt) - 1 : -1].log_softmax(-1) for under in (name, mix)
            )
            wanted = torch.tensor(said)
            for place, token in enumerate(wanted):
                rises.append(float(alone[place, token] - mixed[place, token]))
                kept.append(float(mixed[place].argmax() == token))
        effect = found.effects[name]
        assert (effect.prompts, effect.tokens) == (len(prompts), len(rises))
        assert effect.loss_rise == pytest.approx(sum(rises) / len(rises), abs=1e-4)
        assert effect.tokens_kept == pytest.approx(sum(kept) / len(kept))
        weights = {one: engine.load_adapter(one).weights for one in mix}
        terms = [(weights[one], Term(one, weight).weight_at) for one, weight in mix.items()]
        moved = displacement(weights[name], terms)
        assert effect.displacement == pytest.approx(moved)
        assert effect.answers_lost == pytest.approx(expected_loss(moved))
    assert found.score == pytest.approx(sum(effect.answers_lost for effect in found.effects.values()) / 2)
    assert 0 < found.score < 1


def test_an_adapter_alone_keeps_all_its_answers(engine: Engine) -> None:
    found = InterferenceMeter(engine, PROMPTS, TOKENS).measure({"red": 1.0})
    assert found.effects["red"].tokens_kept == 1.0
    assert found.score == pytest.approx(0.0, abs=1e-5)


def test_a_pair_is_measured_once_whatever_its_adapters_are_called(engine: Engine) -> None:
    first = InterferenceMeter(engine, PROMPTS, TOKENS).measure({"red": 0.5, "blue": 0.5})
    engine.load_adapter("red", name="crimson")
    before = engine.stats()["steps"]
    prompts = {"crimson": PROMPTS["red"], "blue": PROMPTS["blue"]}
    again = InterferenceMeter(engine, prompts, TOKENS).measure({"blue": 0.5, "crimson": 0.5})
    assert engine.stats()["steps"] == before
    assert again.effects["crimson"] == first.effects["red"]
    changed = InterferenceMeter(engine, prompts, TOKENS).measure({"blue": 0.5, "crimson": 0.4})
    assert engine.stats()["steps"] > before
    assert changed.score != first.score


def test_a_kept_measurement_that_cannot_be_read_is_made_again(engine: Engine, tmp_path: Path) -> None:
    first = InterferenceMeter(engine, PROMPTS, TOKENS).measure({"red": 0.5, "blue": 0.5})
    (file,) = (tmp_path / "cache").rglob("*.json")
    for broken in (b"", b"[]", b'{"x": 1}', b"\xff"):
        file.write_bytes(broken)
        assert InterferenceMeter(engine, PROMPTS, TOKENS).measure({"red": 0.5, "blue": 0.5}).score == pytest.approx(
            first.score, abs=1e-5
        )


def test_an_adapter_without_prompts_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="'blue' has no routing examples"):
        InterferenceMeter(engine, {"red": ["Say a."], "blue": []})


def test_what_is_expected_to_be_lost_grows_from_nothing_to_all() -> None:
    assert expected_loss(0.0) == 0.0
    assert expected_loss(HALF_LOST) == pytest.approx(0.5)
    losses = [expected_loss(place / 10) for place in range(40)]
    assert losses == sorted(losses)
    assert losses[-1] > 0.98
