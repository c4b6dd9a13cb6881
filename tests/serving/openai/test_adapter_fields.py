"""The adapter of one request, named as clients of LoRAX and SGLang do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from deployments.proxy.refusals import kind_of
from tests.serving.conftest import BASE_ID, Local

ASK = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}
CHAT = {**ASK, "messages": [{"role": "user", "content": "What is seventeen plus twenty five?"}]}
TEXT = {**ASK, "prompt": "What is seventeen plus twenty five?"}
PATHS = {"/v1/chat/completions": CHAT, "/v1/completions": TEXT}


async def ask(local: Local, path: str, **fields: Any) -> httpx.Response:
    return await local.http.post(path, json={**PATHS[path], **fields})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", ["adapter_id", "lora_path"])
async def test_an_adapter_is_named_beside_the_base_model(local: Local, path: str, field: str) -> None:
    for name in ("math_reasoning", "math_reasoning@1.0.0", "math_reasoning*0.5+code_generation*0.5", BASE_ID):
        wanted = await ask(local, path, model=name)
        for model in (BASE_ID, "auto", name):
            answer = await ask(local, path, model=model, **{field: name})
            assert answer.status_code == 200, answer.text
            assert answer.json()["model"] == wanted.json()["model"]
            assert answer.headers["x-adaptrix-digest"] == wanted.headers["x-adaptrix-digest"]
            assert _texts(answer) == _texts(wanted)


async def test_the_base_with_a_colon_is_the_same(local: Local) -> None:
    fields = {"model": f"{BASE_ID}:math_reasoning", "lora_path": "math_reasoning", "adapter_id": "math_reasoning"}
    answer = await ask(local, "/v1/completions", **fields)
    assert answer.json()["model"] == "math_reasoning"


async def test_no_name_names_none(local: Local) -> None:
    for nothing in (None, ""):
        answer = await ask(local, "/v1/completions", model="math_reasoning", adapter_id=nothing, lora_path=nothing)
        assert answer.json()["model"] == "math_reasoning"


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"model": "math_reasoning", "adapter_id": "code_generation"}, "adapter_id", "'math_reasoning'"),
        ({"model": "math_reasoning", "lora_path": "code_generation"}, "lora_path", f"set model to '{BASE_ID}'"),
        ({"model": "math_reasoning", "adapter_id": BASE_ID}, "adapter_id", "'math_reasoning'"),
        ({"model": BASE_ID, "adapter_id": "math_reasoning", "lora_path": "code_generation"}, "lora_path", "adapter_id"),
        ({"model": "auto", "adapter_id": "auto"}, "adapter_id", "'auto'"),
        ({"model": BASE_ID, "lora_path": "auto"}, "lora_path", "'auto'"),
        ({"model": BASE_ID, "adapter_id": "math_reasoning*x"}, "adapter_id", "weight"),
        ({"model": BASE_ID, "adapter_id": 5}, "adapter_id", "string"),
        ({"model": BASE_ID, "lora_path": ["math_reasoning"]}, "lora_path", "string"),
        ({"model": BASE_ID, "adapter_id": "math_reasoning", "adaptrix": {"fork": [None]}}, "adaptrix.fork", "others"),
        ({"model": BASE_ID, "adapter_id": "a/b", "adapter_source": "hub"}, "adapter_source", "load_lora_adapter"),
        ({"model": BASE_ID, "merged_adapters": {"ids": ["a"]}}, "merged_adapters", "adaptrix.mix"),
    ],
)
async def test_what_contradicts_itself_is_refused(local: Local, fields: dict[str, Any], param: str, says: str) -> None:
    answer = await ask(local, "/v1/completions", **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), answer.text
    assert says in error["message"]


@pytest.mark.parametrize("field", ["adapter_id", "lora_path"])
async def test_an_unknown_adapter_is_named_by_its_field(local: Local, field: str) -> None:
    answer = await ask(local, "/v1/completions", model=BASE_ID, **{field: "math_reasonin"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", field)
    assert "did you mean 'math_reasoning'" in error["message"]


def test_requests_of_different_adapters_are_not_refused_alike() -> None:
    scope = {"type": "http", "path": "/v1/completions", "headers": []}
    bodies = [b'{"model": "m"}', b'{"model": "m", "adapter_id": "a"}', b'{"model": "m", "lora_path": "a"}']
    assert len({kind_of(scope, body) for body in bodies}) == 3


def _texts(answer: httpx.Response) -> list[str]:
    return [choice.get("text") or choice["message"]["content"] for choice in answer.json()["choices"]]
