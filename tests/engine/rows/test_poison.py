"""Whatever sampling parameters one request has, those beside it get the tokens of an undisturbed run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adaptrix_core.engine import Engine
from adaptrix_core.engine.rows.sampler import Sampled, Unsampled, sample
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import SAMPLING_RANGES
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request, tokens_of
from tests.engine.rows.test_sampler import VOCAB, make_row, random_logits
from tests.tiny_models import random_prompts

PROMPTS = random_prompts([5, 8, 3])
NEIGHBOURS: Sequence[Mapping[str, Any]] = (
    {"temperature": 0.0},
    {"temperature": 0.9, "seed": 3, "top_p": 0.8},
    {"temperature": 1.4, "seed": 4, "repetition_penalty": 1.3, "logprobs": 2},
)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
"""All of float64."""
POISON = st.fixed_dictionaries(
    {},
    optional={
        **{name: FLOATS for name, limit in SAMPLING_RANGES.items() if not limit.is_whole and name != "logit_bias"},
        "top_k": st.integers(-(2**70), 2**70),
        "logprobs": st.integers(0, 20),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "logit_bias": st.dictionaries(st.integers(0, 90), FLOATS, max_size=90),
    },
)
"""Sampling parameters, allowed or not."""
ALLOWED = st.fixed_dictionaries(
    {},
    optional={
        name: st.floats(limit.low, limit.high, exclude_min=limit.above_low)
        for name, limit in SAMPLING_RANGES.items()
        if not limit.is_whole and name != "logit_bias"
    },
)


def ended(engine: Engine, poison: Mapping[str, Any] | None) -> dict[tuple[str, int], list[int]]:
    for number, params in enumerate(NEIGHBOURS):
        engine.add(request(f"n{number}", PROMPTS[number], max_tokens=4, **params))
    if poison is not None:
        engine.add(request("poison", PROMPTS[0], max_tokens=3, **poison))
    events = drain(engine)
    assert not [event for event in events if event.request_id != "poison" and event.error is not None]
    return tokens_of(events)


@pytest.fixture(scope="module")
def undisturbed() -> dict[tuple[str, int], list[int]]:
    return {}


@example(poison={"top_p": 1e-46})
@example(poison={"top_p": 5e-324})
@example(poison={"temperature": 5e-324})
@example(poison={"temperature": 1e-40, "top_p": 1e-44, "min_p": 1.0})
@example(poison={"repetition_penalty": 5e-324})
@example(poison={"logit_bias": dict.fromkeys(range(90), -100.0)})
@example(poison={"logit_bias": {1: 1e308}})
@example(poison={"presence_penalty": -2.0, "frequency_penalty": 2.0, "top_k": 1})
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(poison=st.one_of(POISON, ALLOWED))
def test_neighbours_get_the_tokens_of_an_undisturbed_run(
    make_engine: MakeEngine, undisturbed: dict[str, Any], poison: Mapping[str, Any]
) -> None:
    if not undisturbed:
        undisturbed["engine"] = make_engine(adapters=())
        undisturbed["tokens"] = ended(undisturbed["engine"], None)
    try:
        found = ended(undisturbed["engine"], {"temperature": 1.0, **poison})
    except InvalidRequest:
        found = tokens_of(drain(undisturbed["engine"]))
    assert {key: tokens for key, tokens in found.items() if key[0] != "poison"} == undisturbed["tokens"]


@settings(max_examples=150, deadline=None)
@given(params=ALLOWED, scale=st.sampled_from([1e-30, 1.0, 1e4, 1e30]))
def test_whatever_is_allowed_yields_a_token(params: Mapping[str, Any], scale: float) -> None:
    [result] = sample((random_logits() * scale)[None].clone(), [make_row(**{"temperature": 1.0, **params})])
    assert isinstance(result, Sampled)
    assert 0 <= result.token_id < VOCAB


@pytest.mark.parametrize("params", [{"top_p": 1e-46}, {"temperature": 5e-324}, {"min_p": 1.0}, {"top_p": 5e-324}])
def test_parameters_too_small_for_float32_choose_the_likeliest(params: Mapping[str, Any]) -> None:
    logits = random_logits(3)
    rows = [make_row(output=(), **{"temperature": 1.0, **params, "seed": seed}) for seed in range(8)]
    results = sample(logits.repeat(8, 1), rows)
    assert {result.token_id for result in results if isinstance(result, Sampled)} == {int(logits.argmax())}


@pytest.mark.parametrize("params", [{"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 0.0, "top_k": 3}])
@pytest.mark.parametrize("broken", [math.nan, math.inf, "nothing allowed"])
def test_a_row_without_a_finite_choice_fails_alone(params: Mapping[str, Any], broken: float | str) -> None:
    logits = torch.stack([random_logits(1), random_logits(2), random_logits(3)])
    rows = [make_row(seed=number, **params) for number in range(3)]
    alone = sample(logits.clone(), rows)
    if isinstance(broken, str):
        logits[1] = -math.inf
    else:
        logits[1, 7] = broken
    results = sample(logits, rows)
    assert isinstance(results[1], Unsampled)
    assert results[1].error.code == "output_not_finite"
    assert [results[0], results[2]] == [alone[0], alone[2]]


def test_more_log_probabilities_than_tokens_are_all_of_them() -> None:
    [result] = sample(random_logits()[None, :3].clone(), [make_row(output=(), temperature=0.0, logprobs=20)])
    assert isinstance(result, Sampled)
    assert sum(math.exp(logprob) for _, logprob in result.top_logprobs) == pytest.approx(1.0)
