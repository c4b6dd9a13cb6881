"""Activated LoRA: without effect before its invocation tokens, equal to PEFT after them, and free before them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from tests.engine.peft_cases import TOLERANCE, logits_of, relative_error
from tests.tiny_models import random_module, random_prompts

INVOCATION = [7, 8, 9]
CUT, BLOCK = 2, 4
HISTORY, QUESTION = random_prompts([20, 5], seed=3)
PROMPT = [*HISTORY, *INVOCATION, *QUESTION]


@dataclass(frozen=True)
class Case:
    engine: Engine
    plain: Any
    peft: PeftModel


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    plain = random_module(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    is_gpt2 = request.param == "gpt2"
    lora = LoraConfig(
        r=4,
        lora_alpha=12,
        target_modules=["c_attn", "c_fc"] if is_gpt2 else ["q_proj", "v_proj", "up_proj"],
        fan_in_fan_out=is_gpt2,
        init_lora_weights=False,
        alora_invocation_tokens=INVOCATION,
        task_type="CAUSAL_LM",
    )
    peft = get_peft_model(copy.deepcopy(plain), lora).eval()
    peft.save_pretrained(directory)
    options = EngineOptions(block_size=BLOCK, kv_cache_tokens=512, max_batch_tokens=128, cut=CUT)
    engine = Engine(BaseModel.from_module(copy.deepcopy(plain)), directory, TrustPolicy("off"), options)
    engine.load_adapter(directory, "activated")
    yield Case(engine, plain, peft)
    engine.loader.close()


@pytest.mark.parametrize("schedule", ["one_shot", "chunked", "stepwise"])
@pytest.mark.parametrize(
    "prompt",
    [PROMPT, [*HISTORY, *QUESTION], [*INVOCATION, *PROMPT], INVOCATION, [*PROMPT, *INVOCATION]],
    ids=["invoked", "not invoked", "invoked twice", "the invocation alone", "invoked at the end"],
)
def test_logits_equal_pefts(case: Case, prompt: list[int], schedule: Any) -> None:
    [actual] = case.engine.logits([prompt], "activated", schedule)
    assert relative_error(actual, logits_of(case.peft, prompt)) < TOLERANCE
    base = logits_of(case.plain, prompt)
    begin = next((i for i in range(len(prompt), -1, -1) if prompt[i : i + 3] == INVOCATION), len(prompt))
    if begin > 0:
        assert relative_error(actual[:begin], base[:begin]) < TOLERANCE
    if begin < len(prompt):
        assert relative_error(actual[begin:], base[begin:]) > 100 * TOLERANCE


def test_generation_equals_pefts(case: Case) -> None:
    ids = torch.tensor([PROMPT])
    expected = case.peft.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, min_new_tokens=10, do_sample=False
    )[0, len(PROMPT) :].tolist()
    params = SamplingParams(max_tokens=10, temperature=0.0, ignore_eos=True)
    [actual] = case.engine.generate([PROMPT], "activated", params)
    assert list(actual.token_ids) == expected


def test_what_the_base_computed_before_the_invocation_is_taken_over(case: Case) -> None:
    fresh = [token + 1 for token in HISTORY]
    params = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)
    case.engine.generate([fresh], None, params)
    before = [span["computed"] for span in case.engine.stats()["layer_tokens"]]
    case.engine.generate([[*fresh, *INVOCATION, *QUESTION]], "activated", params)
    after = [span["computed"] for span in case.engine.stats()["layer_tokens"]]
    new = len(INVOCATION) + len(QUESTION)
    assert [b - a for a, b in zip(before, after, strict=True)] == [new * CUT, new * (4 - CUT)]
