"""Mixes over HTTP: terms with layers and with a weight for each layer are computed as the library computes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

ASK = [{"role": "user", "content": "What is seventeen plus twenty five?"}]
LAYERS = 4
ADAPTED = [1, 2]
"""Layers of the small world's adapters."""


async def logprobs(local: Local, model: str = BASE_ID, **adaptrix: Any) -> list[float]:
    """Log-probabilities of the most likely tokens of an answer's first steps: they differ where the mix differs."""
    body = {"model": model, "messages": ASK, "max_tokens": 4, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    answer = await local.http.post("/v1/chat/completions", json={**body, "ignore_eos": True, "adaptrix": adaptrix})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()["choices"][0]["logprobs"]["content"]
    return [top["logprob"] for token in tokens for top in token["top_logprobs"]]


def term(**fields: Any) -> dict[str, Any]:
    return {"adapter": "math_reasoning", **fields}


@pytest.mark.parametrize(
    ("mix", "plain"),
    [
        ([term()], {"math_reasoning": 1.0}),
        ([term(weight=0.5)], {"math_reasoning": 0.5}),
        ([term(layers=ADAPTED)], {"math_reasoning": 1.0}),
        ([term(weight=[0.5] * LAYERS)], {"math_reasoning": 0.5}),
        ([term(layers=[1]), term(layers=[2])], {"math_reasoning": 1.0}),
        ([term(weight=[0.0, 1.0, 0.0, 0.0]), {"adapter": "code_generation", "weight": 0.3}], None),
    ],
    ids=["a term", "a weight", "all its layers", "a weight for each layer", "its layers apart", "one layer of two"],
)
async def test_a_mix_of_terms_says_what_weights_by_name_say(local: Local, mix: list[Any], plain: Any) -> None:
    if plain is None:
        plain = [term(layers=[1]), {"adapter": "code_generation", "weight": 0.3, "layers": ADAPTED}]
    assert await logprobs(local, mix=mix) == pytest.approx(await logprobs(local, mix=plain), abs=1e-5)


async def test_layers_that_the_adapter_has_not_leave_the_base_model(local: Local) -> None:
    assert await logprobs(local, mix=[term(layers=[0, 3])]) == pytest.approx(await logprobs(local), abs=1e-5)


async def test_one_layer_of_an_adapter_is_neither_all_of_it_nor_nothing(local: Local) -> None:
    one, all_of_it, nothing = [
        await logprobs(local, **given) for given in ({"mix": [term(layers=[1])]}, {"mix": {"math_reasoning": 1.0}}, {})
    ]
    assert one != pytest.approx(all_of_it, abs=1e-5)
    assert one != pytest.approx(nothing, abs=1e-5)


async def test_a_gate_gives_shares_that_no_weights_give(local: Local) -> None:
    names = ["math_reasoning", "code_generation"]
    gated = {"parallel": names, "combine": "gate", "temperature": 0.01}
    first, again, one, both = [
        await logprobs(local, **given)
        for given in (
            {"compose": gated},
            {"compose": gated},
            {"compose": {**gated, "top_k": 1}},
            {"compose": {"parallel": dict.fromkeys(names, 0.5)}},
        )
    ]
    assert first == again
    assert len({tuple(found) for found in (first, one, both)}) == 3


async def test_layers_can_be_written_in_the_model_field(local: Local) -> None:
    written = await logprobs(local, "math_reasoning*0.5[1]")
    assert written == pytest.approx(await logprobs(local, mix=[term(weight=0.5, layers=[1])]), abs=1e-5)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ([term(layers=[4])], "acts on layer 4; the model has 4 layers (0 to 3)"),
        ([term(weight=[1.0, 1.0])], "has 2 weights; the model has 4 layers"),
        ([term(weight=9.0)], "weight 9 of 'math_reasoning'; allowed: -8 to 8"),
        ([term(), term(layers=[1])], "names one adapter twice"),
        ([term(layers=[])], "layers"),
        ([term(layers=[-1])], "layers"),
        ([term(weight="much")], "should be a number, or a list of numbers"),
        ([], "mix"),
        ("math_reasoning", "should be weights by name, or a list of terms"),
        ([{"adapter": f"a{number}"} for number in range(17)], "at most 16"),
    ],
)
async def test_what_cannot_be_mixed_is_refused_by_name(local: Local, mix: Any, message: str) -> None:
    body = {"model": BASE_ID, "messages": ASK, "max_tokens": 1, "adaptrix": {"mix": mix}}
    answer = await local.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"].startswith("adaptrix.mix")


async def test_the_header_says_which_layers(local: Local) -> None:
    body = {"model": BASE_ID, "messages": ASK, "max_tokens": 1, "adaptrix": {"mix": [term(layers=[2, 1], weight=0.5)]}}
    answer = await local.http.post("/v1/chat/completions", json=body)
    assert answer.headers["x-adaptrix-adapter"] == "math_reasoning*0.5[1,2]"
