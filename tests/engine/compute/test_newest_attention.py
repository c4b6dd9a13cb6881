"""How tokens attend is told to the rows that ask: as transformers computes it, over every family and both backends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.confidence.evidence import middle_layers
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.native import why_not
from tests.engine.conftest import MakeEngine
from tests.native.packed_models import VARIANTS, twins
from tests.tiny_models import CONFIGS, random_base, random_module, random_prompts

PROMPTS = random_prompts([11, 4, 23], seed=8)
PLAIN = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)
ASKING = replace(PLAIN, attention=True)


def expected_of(weights: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of one query's weights ``(heads, keys)``: those on the key before its own, and the entropies."""
    return weights[:, -2].numpy(), torch.special.entr(weights).sum(-1).numpy()


@pytest.mark.parametrize("variant", CONFIGS)
def test_attention_is_that_of_transformers_in_every_middle_layer(variant: str, make_engine: MakeEngine) -> None:
    engine = make_engine(variant, adapters=())
    answers = engine.generate(PROMPTS, None, ASKING)
    plain = random_module(variant)
    plain.set_attn_implementation("eager")
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert answer.attentions is not None
        assert len(answer.attentions) == len(answer.token_ids)
        with torch.inference_mode():
            layers = plain(torch.tensor([[*prompt, *answer.token_ids]]), output_attentions=True).attentions
        for at, told in enumerate(answer.attentions):
            query = len(prompt) - 1 + at
            for place, layer in enumerate(middle_layers(engine.base.info.num_layers)):
                to_previous, entropy = expected_of(layers[layer][0, :, query, : query + 1].float())
                np.testing.assert_allclose(told.to_previous[place], to_previous, atol=1e-4)
                np.testing.assert_allclose(told.entropy[place], entropy, atol=1e-4)


@pytest.mark.skipif(why_not() is not None, reason=f"no native kernels here: {why_not()}")
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_kernels_tell_the_weights_that_their_own_queries_and_keys_come_to(variant: str, tmp_path: Path) -> None:
    packed, _ = twins(variant)
    engine = Engine(packed, tmp_path / "none", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=1024))
    for prompt, answer in zip(PROMPTS, engine.generate(PROMPTS, None, ASKING), strict=True):
        run = engine.inspect([*prompt, *answer.token_ids], None)
        assert answer.attentions is not None
        for at, told in enumerate(answer.attentions):
            query = len(prompt) - 1 + at
            for place, layer in enumerate(middle_layers(packed.info.num_layers)):
                weights = run.attention[layer].weights(query, query + 1)[:, 0, : query + 1]
                to_previous, entropy = expected_of(weights)
                np.testing.assert_allclose(told.to_previous[place], to_previous, atol=1e-4)
                np.testing.assert_allclose(told.entropy[place], entropy, atol=2e-4)
    engine.loader.close()


@pytest.mark.skipif(why_not() is not None, reason=f"no native kernels here: {why_not()}")
def test_who_asks_changes_no_bit_of_any_answer(tmp_path: Path) -> None:
    for base in (twins("mistral", "int4")[0], random_base("gemma2")):
        engine = Engine(base, tmp_path / "none", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=1024))
        unasked, asked = (
            engine.generate(PROMPTS, None, replace(params, logprobs=0, prompt_logprobs=0)) for params in (PLAIN, ASKING)
        )
        assert [one.logprobs for one in asked] == [one.logprobs for one in unasked]
        assert all(one.attentions is None for one in unasked)
        engine.loader.close()


def test_nothing_is_noted_for_rows_that_do_not_ask(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from adaptrix_core.engine.compute.newest_attention import NewestAttention

    noted: list[int] = []
    note = NewestAttention.note

    def counted(self: NewestAttention, layer: int, place: int, *rest: object) -> None:
        noted.append(place)
        note(self, layer, place, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(NewestAttention, "note", counted)
    engine = make_engine()
    engine.generate(PROMPTS, "red", PLAIN, scores=["logprob_sum", "entropy_mean"])
    assert not noted
    engine.generate(PROMPTS, "red", PLAIN, scores=["rauq"])
    assert noted


def test_a_token_that_sees_itself_alone_has_no_predecessor(make_engine: MakeEngine) -> None:
    (answer,) = make_engine().generate([PROMPTS[0][:1]], None, ASKING)
    assert answer.attentions is not None
    assert not answer.attentions[0].to_previous.any()
    np.testing.assert_allclose(answer.attentions[0].entropy, 0.0, atol=1e-6)
