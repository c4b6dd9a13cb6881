"""Compositions and scores over HTTP: by a strategy's and an estimator's name, the same streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

ASK = {
    "model": BASE_ID,
    "messages": [{"role": "user", "content": "What is seventeen plus twenty five?"}],
    "max_tokens": 6,
    "temperature": 0,
    "ignore_eos": True,
}
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


async def ask(local: Local, path: str = CHAT, **fields: Any) -> Any:
    body = {**ASK, **fields}
    if path == TEXT:
        body["prompt"] = body.pop("messages")[0]["content"]
    answer = await local.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer


async def logprobs(local: Local, **adaptrix: Any) -> list[float]:
    choice = (await ask(local, logprobs=True, adaptrix=adaptrix)).json()["choices"][0]
    return [token["logprob"] for token in choice["logprobs"]["content"]]


async def test_parallel_is_the_mix_of_its_parts(local: Local) -> None:
    weights = {"math_reasoning": 0.7, "code_generation": 0.3}
    composed = await logprobs(local, compose={"parallel": weights})
    assert composed == pytest.approx(await logprobs(local, mix=weights), abs=1e-5)
    assert composed != pytest.approx(await logprobs(local), abs=1e-3)


@pytest.mark.parametrize(
    ("composition", "message"),
    [
        ({"paralel": {"math_reasoning": 1.0}}, "names no composition strategy; did you mean 'parallel'?"),
        ({"parallel": {}}, "parallel takes weights by adapter name"),
        ({"parallel": {"math_reasoning": "much"}}, "the weight of 'math_reasoning' is 'much'"),
        ({"parallel": {"math_reasoning": 9.0}}, "weight 9 of 'math_reasoning'; allowed: -8 to 8"),
        ({"parallel": {"math_reasoning": 1.0}, "combine": "sum"}, "combine is 'sum'"),
        ({"parallel": {f"a{number}": 1.0 for number in range(17)}}, "mixes 17 adapters; allowed: 1 to 16"),
    ],
)
async def test_what_cannot_be_composed_is_refused_by_name(local: Local, composition: Any, message: str) -> None:
    answer = await local.http.post(CHAT, json={**ASK, "adaptrix": {"compose": composition}})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "adaptrix.compose")
    assert message in error["message"]


async def test_an_unknown_part_of_a_composition_is_named_with_the_nearest(local: Local) -> None:
    answer = await local.http.post(CHAT, json={**ASK, "adaptrix": {"compose": {"parallel": ["math_reasonin"]}}})
    assert answer.status_code == 404
    assert "did you mean 'math_reasoning'" in answer.json()["error"]["message"]


async def test_a_composition_and_a_mix_contradict_each_other(local: Local) -> None:
    options = {"compose": {"parallel": ["math_reasoning"]}, "mix": {"math_reasoning": 1.0}}
    answer = await local.http.post(CHAT, json={**ASK, "adaptrix": options})
    assert answer.status_code == 400
    assert "adaptrix.mix and adaptrix.compose are both set" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_score_is_the_sum_of_the_tokens_logprobs_and_shows_none_of_them(local: Local, path: str) -> None:
    shown = (await ask(local, path, logprobs=True if path == CHAT else 0)).json()["choices"][0]["logprobs"]
    tokens = [token["logprob"] for token in shown["content"]] if path == CHAT else shown["token_logprobs"]
    (choice,) = (await ask(local, path, adaptrix={"scores": ["logprob_sum"]})).json()["choices"]
    assert choice["adaptrix"]["scores"]["logprob_sum"] == pytest.approx(sum(tokens), abs=1e-4)
    assert len(tokens) == ASK["max_tokens"]
    assert choice["logprobs"] is None


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_streamed_choice_is_scored_in_its_last_event(local: Local, path: str) -> None:
    whole = (await ask(local, path, adaptrix={"scores": ["logprob_sum"]}, n=2, seed=3, temperature=1)).json()
    wanted = [choice["adaptrix"]["scores"]["logprob_sum"] for choice in whole["choices"]]
    streamed = await ask(local, path, adaptrix={"scores": ["logprob_sum"]}, n=2, seed=3, temperature=1, stream=True)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event["choices"]]
    scored = {choice["index"]: choice for choice in choices if "adaptrix" in choice}
    assert [scored[index]["adaptrix"]["scores"]["logprob_sum"] for index in (0, 1)] == pytest.approx(wanted, abs=1e-4)
    assert all(choice["finish_reason"] for choice in scored.values())
    assert not any(choice.get("logprobs") for choice in choices)


async def test_each_fork_is_scored_beside_the_adapter_that_answered(local: Local) -> None:
    answer = await ask(local, adaptrix={"scores": ["logprob_sum"], "fork": ["math_reasoning", None]})
    of = [choice["adaptrix"] for choice in answer.json()["choices"]]
    assert [one["adapter"] for one in of] == ["math_reasoning", "base"]
    assert of[0]["scores"] != of[1]["scores"]


async def test_an_estimator_that_nobody_has_is_refused_before_anything_is_computed(local: Local) -> None:
    answer = await local.http.post(CHAT, json={**ASK, "adaptrix": {"scores": ["logprob_sun"]}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unknown_extension", "adaptrix.scores")
    assert "did you mean 'logprob_sum'" in error["message"]
