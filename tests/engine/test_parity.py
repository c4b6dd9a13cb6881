"""The engine's logits are PEFT's and the merged model's: every family, every schedule, adapters mixed in one batch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.engine import GenerationRequest, SamplingParams
from adaptrix_core.injection.mix import Mix, Term, constant
from tests.engine.driving import drain, request
from tests.engine.peft_cases import CHOICES, PROMPT_LENGTHS, TOLERANCE, Case, build_case, logits_of, relative_error
from tests.tiny_models import CONFIGS, NUM_LAYERS, random_module, random_prompts


@pytest.fixture(scope="module", params=list(CONFIGS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case("llama", tmp_path_factory.mktemp("llama"))
    yield built
    built.engine.loader.close()


@pytest.mark.parametrize("schedule", ["one_shot", "chunked", "stepwise"])
def test_a_mixed_batch_equals_peft_and_the_merged_models(case: Case, schedule: Any) -> None:
    steps = case.engine.num_steps
    actual = case.engine.logits(case.prompts, CHOICES, schedule)
    steps = case.engine.num_steps - steps
    assert steps == {"one_shot": 1, "chunked": 6, "stepwise": max(PROMPT_LENGTHS)}[schedule]
    for tokens, adapter, logits in zip(case.prompts, CHOICES, actual, strict=True):
        assert relative_error(logits, case.peft_logits(tokens, adapter)) < TOLERANCE
        if adapter is not None:
            assert relative_error(logits, logits_of(case.merged[adapter], tokens)) < TOLERANCE
            # The comparison would be worth nothing if adapters changed nothing.
            assert relative_error(logits, logits_of(case.plain, tokens)) > 100 * TOLERANCE
    assert case.engine.check_integrity() == []


@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("variant", ["gemma2", "gemma3", "gpt2", "opt-projected", "gpt_neox"])
def test_layers_in_two_spans_compute_the_same(variant: str, cut: int, tmp_path: Path) -> None:
    case = build_case(variant, tmp_path, cut=cut)
    for tokens, adapter, logits in zip(
        case.prompts, CHOICES, case.engine.logits(case.prompts, CHOICES, "chunked"), strict=True
    ):
        assert relative_error(logits, case.peft_logits(tokens, adapter)) < TOLERANCE
    case.engine.loader.close()


def test_logits_of_a_batch_that_does_not_fit_the_cache_at_once(tmp_path: Path) -> None:
    case = build_case("llama", tmp_path, kv_cache_tokens=48)
    case.engine.add(request("grows", case.prompts[0][:3], max_tokens=40))  # and takes blocks back from the others
    case.engine.step()
    actual = case.engine.logits(case.prompts, CHOICES, "stepwise")
    drain(case.engine)
    assert case.engine.scheduler.num_preemptions > 0
    for tokens, adapter, logits in zip(case.prompts, CHOICES, actual, strict=True):
        assert relative_error(logits, case.peft_logits(tokens, adapter)) < TOLERANCE
    case.engine.loader.close()


FEATURES = [
    ("mistral", {"sliding_window": None}),
    ("qwen2", {"sliding_window": 40}),
    ("gemma2", {"attn_logit_softcapping": None}),
    ("gemma2", {"final_logit_softcapping": None}),
    ("gemma2", {"sliding_window": 40}),
    ("gemma2", {"query_pre_attn_scalar": 16}),
    ("gemma3", {"sliding_window": 40}),
    ("phi3", {"sliding_window": None}),
    ("gpt_neox", {"use_parallel_residual": False}),
    ("opt", {"do_layer_norm_before": False}),
]


@pytest.mark.parametrize(("variant", "changes"), FEATURES, ids=[f"{v}-{next(iter(c))}" for v, c in FEATURES])
def test_the_models_are_such_that_a_lost_feature_shows(variant: str, changes: dict[str, Any]) -> None:
    tokens = random_prompts([30])[0]
    with_feature = logits_of(random_module(variant), tokens)
    assert relative_error(logits_of(random_module(variant, **changes), tokens), with_feature) > 100 * TOLERANCE


# --- weighted mixes -------------------------------------------------------------------------------------------------


def combined(case: Case, factors: Mapping[str, Iterable[float]]) -> PreTrainedModel:
    """The model with every adapter's merged update added, times the adapter's factor at the layer."""
    model = copy.deepcopy(case.plain)
    state, plain = model.state_dict(), case.plain.state_dict()
    for adapter, by_layer in factors.items():
        per_layer = list(by_layer)
        merged = case.merged[adapter].state_dict()
        for name, tensor in state.items():
            numbers = [int(part) for part in name.split(".") if part.isdigit()]
            if numbers:
                tensor += per_layer[numbers[0]] * (merged[name] - plain[name])
    return model


def mix_logits(case: Case, mix: Mix, chunk: int | None = 7) -> list[Tensor]:
    requests = [
        GenerationRequest(f"mix-{i}", tuple(tokens), SamplingParams(max_tokens=0), (constant(mix),))
        for i, tokens in enumerate(case.prompts)
    ]
    return case.engine.prompt_logits(requests, chunk)


def test_a_weighted_mix_equals_the_weighted_sum_of_merged_updates(case: Case) -> None:
    weights = {"everything": 0.7, "patterned": -0.4, "rslora": 1.5}
    reference = combined(case, {name: [weight] * NUM_LAYERS for name, weight in weights.items()})
    # Beside rows of one adapter and of none, in one batch.
    choices = [weights, None, weights, "rslora", weights, {"everything": 0.0}]
    actual = case.engine.logits(case.prompts, choices)
    for tokens, choice, logits in zip(case.prompts, choices, actual, strict=True):
        if choice is weights:
            assert relative_error(logits, logits_of(reference, tokens)) < TOLERANCE
    assert relative_error(actual[1], logits_of(case.plain, case.prompts[1])) < TOLERANCE
    assert relative_error(actual[5], logits_of(case.plain, case.prompts[5])) < TOLERANCE


def test_a_weighted_mix_equals_pefts_concatenated_adapter(llama: Case) -> None:
    # PEFT's "cat" ignores rank patterns, so these two have none.
    weights = {"everything": 0.7, "rslora": 0.3}
    llama.peft.add_weighted_adapter(list(weights), list(weights.values()), "cat", combination_type="cat")
    for tokens, logits in zip(llama.prompts, llama.engine.logits(llama.prompts, weights), strict=True):
        assert relative_error(logits, llama.peft_logits(tokens, "cat")) < TOLERANCE


def test_one_weight_per_layer(llama: Case) -> None:
    ramp = (0.0, 0.5, 1.0, -1.0)
    digest = llama.engine.resolve_mix("everything")[0].adapter
    reference = combined(llama, {"everything": ramp})
    for tokens, logits in zip(llama.prompts, mix_logits(llama, (Term(digest, ramp),)), strict=True):
        assert relative_error(logits, logits_of(reference, tokens)) < TOLERANCE


def test_different_adapters_at_different_layers(llama: Case) -> None:
    everything, patterned = (llama.engine.resolve_mix(name)[0].adapter for name in ("everything", "patterned"))
    mix = (Term(everything, 1.0, frozenset({1, 2})), Term(patterned, 0.5, frozenset({3})))
    reference = combined(llama, {"everything": (0, 1, 1, 0), "patterned": (0, 0, 0, 0.5)})
    for tokens, logits in zip(llama.prompts, mix_logits(llama, mix), strict=True):
        assert relative_error(logits, logits_of(reference, tokens)) < TOLERANCE


def test_an_adapter_named_twice_in_a_mix_counts_twice(llama: Case) -> None:
    digest = llama.engine.resolve_mix("everything")[0].adapter
    mix = (Term(digest, 0.5), Term(digest, 0.25, frozenset({1})))
    reference = combined(llama, {"everything": (0.5, 0.75, 0.5, 0.5)})
    for tokens, logits in zip(llama.prompts, mix_logits(llama, mix), strict=True):
        assert relative_error(logits, logits_of(reference, tokens)) < TOLERANCE
