"""Requests check themselves: each field has a bad value, and the error names field, value and limit."""

from __future__ import annotations

from typing import Any

import pytest

from adaptrix_core.engine import GenerationRequest, SamplingParams
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term

BAD = [
    ("max_tokens", -1, "0 to"),
    ("max_tokens", 10**12, "0 to"),
    ("max_tokens", 1.5, "whole number"),
    ("max_tokens", "8", "whole number"),
    ("max_tokens", True, "whole number"),
    ("temperature", -0.1, "0.0 to 2.0"),
    ("temperature", float("nan"), "finite number"),
    ("temperature", float("inf"), "finite number"),
    ("top_p", 0.0, "above 0"),
    ("top_p", 1.1, "above 0.0 and at most 1.0"),
    ("top_k", -1, "0 to"),
    ("top_k", 2.5, "whole number"),
    ("min_p", 1.5, "0.0 to 1.0"),
    ("seed", 1.5, "whole number"),
    ("seed", 2**63, "whole number"),
    ("presence_penalty", 2.5, "-2.0 to 2.0"),
    ("frequency_penalty", -2.5, "-2.0 to 2.0"),
    ("repetition_penalty", 0.0, "0.01 to 10.0"),
    ("n", 0, "1 to 64"),
    ("n", 65, "1 to 64"),
    ("n", 1.0, "whole number"),
    ("logprobs", 21, "0 to 20"),
    ("stop", "END", "sequence of strings"),
    ("stop", ("",), "none of them empty"),
    ("stop", (1,), "strings"),
    ("stop", ("x",) * 17, "at most 16"),
    ("logit_bias", {5: float("nan")}, "token 5 is nan"),
    ("logit_bias", {5: 1e308}, "-100.0 to 100.0"),
    ("logit_bias", dict.fromkeys(range(1025), 0.0), "limit is 1024"),
    ("max_tokens", 10**1000, "whole number of 3322 bits"),
    ("logit_bias", {5: "much"}, "token 5 is 'much'"),
]


@pytest.mark.parametrize(("field", "value", "says"), BAD, ids=[f"{field}={value!r:.20}" for field, value, _ in BAD])
def test_a_bad_value_is_refused_on_construction(field: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        SamplingParams(**{field: value})
    assert refusal.value.param == field
    assert field in refusal.value.message
    assert says in refusal.value.message


GOOD = [
    {"max_tokens": None},
    {"max_tokens": 0},
    {"temperature": 0},
    {"temperature": 2.0},
    {"top_p": 1},
    {"top_k": 0},
    {"seed": -5},
    {"seed": 2**63 - 1},
    {"logprobs": 0},
    {"n": 64},
    {"stop": ["a", "b"]},
    {"logit_bias": {3: -100, 4: 2.5}},
]


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_a_value_at_its_limit_is_accepted(values: dict[str, Any]) -> None:
    accepted = SamplingParams(**values)
    assert {name: getattr(accepted, name) for name in values} == values


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt_token_ids": ()}, "the prompt is empty"),
        ({"prompt_token_ids": (1,), "schedules": ()}, "names no mix schedule"),
        ({"prompt_token_ids": (1,), "schedules": (((1, ()),),)}, "begin with 0"),
        ({"prompt_token_ids": (1,), "schedules": (((0, ()), (4, (Term("a" * 64),)), (4, ())),)}, "strictly increase"),
    ],
)
def test_a_request_without_prompt_or_with_a_bad_schedule_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        GenerationRequest("r", **fields)
