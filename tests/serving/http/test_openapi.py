"""The OpenAPI document says what the server does: every route, every field, and each real answer fits it."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from deployments.callers.key_file import hash_key
from deployments.http.description.document import ASSETS, DOCUMENT, PAGE
from deployments.http.description.endpoints import ANSWERS, BODIES
from deployments.openai import neutral_fields
from tests.serving.conftest import BASE_ID, Local
from tests.serving.inprocess import application, running
from tests.serving.store.test_wrong_bytes import packed
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
NOW = {"type": "function", "name": "now"}


async def described(local: Local) -> dict[str, Any]:
    answer = await local.http.get(DOCUMENT)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


@cache
def validator(document: str, schema: str) -> Draft202012Validator:
    whole = {**json.loads(document), **json.loads(schema)}
    return Draft202012Validator(whole)


def fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Fail where ``value`` isn't as the schema says, references taken from the document."""
    faults = [
        f"{error.json_path}: {error.message}"
        for error in validator(json.dumps(document), json.dumps(schema)).iter_errors(value)
    ]
    assert not faults, faults


def schema_of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


async def test_every_route_is_in_the_document(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with application(args) as (app, _):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            document = (await http.get(DOCUMENT)).json()
        routes = [route for route in app._app.routes if isinstance(route, APIRoute)]  # type: ignore[attr-defined]
    assert len(routes) > 15
    for route in routes:
        if route.path.startswith((DOCUMENT, PAGE)):
            continue
        path = route.path.replace(":path}", "}")
        for method in route.methods:
            operation = document["paths"][path][method.lower()]
            assert operation["summary"]
            assert {code for code in operation["responses"] if code.startswith("2")}, "no answer is described"
            if method == "POST" and not path.endswith("/cancel"):
                assert "requestBody" in operation


async def test_every_field_is_in_the_document(local: Local) -> None:
    schemas = (await described(local))["components"]["schemas"]
    for model in (*BODIES, *ANSWERS):
        names = {field.alias or name for name, field in model.model_fields.items()}
        told = schemas[model.__name__]["properties"]
        assert names <= set(told)
        assert schemas[model.__name__]["additionalProperties"] is False
        if model in BODIES:
            assert {*model.neutral.values, *model.neutral.hints, *model.neutral.asked_by_empty} <= set(told)  # type: ignore[attr-defined]


async def test_examples_are_what_they_are_examples_of(local: Local) -> None:
    document = await described(local)
    bodies = {model.__name__: model for model in BODIES}
    seen = 0
    for path in document["paths"].values():
        content = path.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in content:
            fits(document, content["schema"], content["example"])
            bodies[content["schema"]["$ref"].rpartition("/")[2]].model_validate(content["example"])
            seen += 1
    assert seen >= 6


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ChatRequest", {"model": "m", "messages": ASK, "stop": "x", "logit_bias": {"5": 1}, "n": None}),
        ("ChatRequest", {"model": "m", "messages": [*ASK, {"role": "assistant", "content": None, "tool_calls": []}]}),
        ("ChatRequest", {"model": "m", "messages": ASK, "stop": ["a"], "tools": [], "user": {"any": "thing"}}),
        ("ChatRequest", {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}),
        ("ChatRequest", {"model": "m", "messages": ASK, "adaptrix": {"fork": ["a", None], "mix": {"a": 1}}}),
        ("CompletionRequest", {"model": "m", "prompt": "a", "echo": False, "suffix": None}),
        ("CompletionRequest", {"model": "m", "prompt": ["a", "b"]}),
        ("CompletionRequest", {"model": "m", "prompt": [1, 2]}),
        ("CompletionRequest", {"model": "m", "prompt": [[1], [2]]}),
        ("EmbeddingRequest", {"model": "m", "input": ["a"], "dimensions": None}),
        ("ResponsesRequest", {"model": "m", "input": "a", "metadata": {"a": "b"}, "tools": [], "include": None}),
        ("ResponsesRequest", {"model": "m", "input": [{"role": "user", "content": "a"}], "text": {"verbosity": "low"}}),
        ("MessagesRequest", {"model": "m", "messages": ASK, "max_tokens": 1, "metadata": {"user_id": "a"}}),
        ("RevocationRequest", {"revocations": "e30=", "signature": "e30="}),
        ("BatchRequest", {"input_file_id": "file-0", "endpoint": CHAT, "completion_window": "24h", "metadata": None}),
    ],
)  # fmt: skip
async def test_what_the_server_takes_the_document_allows(local: Local, name: str, body: dict[str, Any]) -> None:
    next(model for model in BODIES if model.__name__ == name).model_validate(body)
    fits(await described(local), schema_of(name), body)


async def test_neutral_fields_are_allowed_at_neutral_values_only(local: Local) -> None:
    document = await described(local)
    base = {"model": "m", "messages": ASK}
    for name, values in neutral_fields.CHAT.values.items():
        for value in (*neutral_fields.EMPTY, *values):
            fits(document, schema_of("ChatRequest"), {**base, name: value})
        with pytest.raises(AssertionError):
            fits(document, schema_of("ChatRequest"), {**base, name: {"something": "else"}})


def answer_schema(document: dict[str, Any], method: str, path: str, answer: httpx.Response) -> dict[str, Any] | None:
    media = answer.headers["content-type"].partition(";")[0]
    content = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]["content"]
    schema: dict[str, Any] = content[media]["schema"]
    return schema if media == "application/json" else None


async def test_real_answers_are_as_described(local: Local, world: World) -> None:
    document = await described(local)
    adapter = world.write_adapter(world.uploads, "described", 81)
    load, answered = "/v1/load_lora_adapter", "/v1/feedback/answers"
    plain = {"model": BASE_ID, "max_tokens": 3, "n": 2}
    fork = {"fork": ["math_reasoning", None]}
    must_call = {"model": BASE_ID, "tool_choice": "required"}
    asked: list[tuple[str, str, str, dict[str, Any]]] = [
        ("POST", CHAT, CHAT, {**plain, "messages": ASK}),
        ("POST", CHAT, CHAT, {**plain, "messages": ASK, "logprobs": True, "top_logprobs": 2, "adaptrix": fork}),
        ("POST", CHAT, CHAT, {**plain, "model": "nobody", "messages": ASK}),
        ("POST", CHAT, CHAT, {**plain, "messages": []}),
        ("POST", TEXT, TEXT, {**plain, "prompt": ["a", "b"], "logprobs": 1, "adaptrix": fork}),
        ("POST", TEXT, TEXT, {**plain, "prompt": "a"}),
        ("POST", RESPONSES, RESPONSES, {"model": "math_reasoning", "input": "a", "max_output_tokens": 3}),
        ("POST", RESPONSES, RESPONSES, {"model": BASE_ID, "input": "a", "max_output_tokens": 3, "top_logprobs": 2}),
        ("POST", RESPONSES, RESPONSES, {"model": "nobody", "input": "a"}),
        ("POST", MESSAGES, MESSAGES, {"model": BASE_ID, "messages": ASK, "max_tokens": 3}),
        ("POST", MESSAGES, MESSAGES, {"model": "nobody", "messages": ASK, "max_tokens": 3}),
        ("POST", MESSAGES, MESSAGES, {"model": BASE_ID, "messages": [], "max_tokens": 3}),
        ("POST", f"{MESSAGES}/count_tokens", f"{MESSAGES}/count_tokens", {"model": BASE_ID, "messages": ASK}),
        ("POST", RESPONSES, RESPONSES, {**must_call, "input": "a", "tools": [NOW], "max_output_tokens": 99}),
        ("GET", f"{RESPONSES}/nothing", f"{RESPONSES}/{{response_id}}", {}),
        ("POST", "/v1/embeddings", "/v1/embeddings", {"model": "auto", "input": "a"}),
        ("POST", "/v1/embeddings", "/v1/embeddings", {"model": "auto", "input": ["a"], "encoding_format": "base64"}),
        ("POST", "/v1/route", "/v1/route", {"messages": ASK}),
        ("POST", "/v1/feedback", "/v1/feedback", {"messages": ASK, "right": "base"}),
        ("POST", "/v1/feedback", "/v1/feedback", {"messages": ASK, "right": "nobody"}),
        ("POST", answered, answered, {"adapter": "math_reasoning", "confidence": 0.5, "right": True}),
        ("POST", answered, answered, {"adapter": "nobody", "confidence": 0.5, "right": True}),
        ("POST", load, load, {"lora_name": "described", "lora_path": str(adapter)}),
        ("POST", load, load, {"lora_name": "described", "lora_path": "/etc"}),
        ("GET", "/v1/adapters", "/v1/adapters", {}),
        ("GET", "/v1/adapters/math_reasoning", "/v1/adapters/{name}", {}),
        ("GET", "/v1/adapters/nobody", "/v1/adapters/{name}", {}),
        ("GET", "/v1/confidence/math_reasoning*0.5", "/v1/confidence/{model}", {}),
        ("GET", "/v1/confidence/nobody", "/v1/confidence/{model}", {}),
        ("GET", "/v1/models", "/v1/models", {}),
        ("GET", "/v1/models/math_reasoning", "/v1/models/{model_id}", {}),
        ("GET", "/v1/models/nobody", "/v1/models/{model_id}", {}),
        ("GET", "/v1/revocations", "/v1/revocations", {}),
        ("POST", "/v1/revocations", "/v1/revocations", {"revocations": "e30=", "signature": "e30="}),
        ("POST", "/unload_lora_adapter", "/unload_lora_adapter", {"lora_name": "described"}),
        ("GET", "/health", "/health", {}),
        ("GET", "/metrics", "/metrics", {}),
    ]  # fmt: skip
    for method, url, path, body in asked:
        answer = await local.http.request(method, url, json=body or None)
        schema = answer_schema(document, method, path, answer)
        if schema is not None:
            fits(document, schema, answer.json())
    form = {"data": {"purpose": "batch"}, "files": {"file": ("a.jsonl", b"{}")}}
    uploaded = await local.http.post("/v1/files", **form)  # type: ignore[arg-type]
    fits(document, answer_schema(document, "POST", "/v1/files", uploaded) or {}, uploaded.json())
    place = f"/v1/files/{uploaded.json()['id']}"
    one = "/v1/files/{file_id}"
    asked_for = {"input_file_id": uploaded.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
    made = await local.http.post("/v1/batches", json=asked_for)
    fits(document, answer_schema(document, "POST", "/v1/batches", made) or {}, made.json())
    for method, url, path in [
        ("GET", "/v1/files", "/v1/files"),
        ("GET", place, one),
        ("GET", f"{place}/content", f"{one}/content"),
        ("GET", "/v1/batches", "/v1/batches"),
        ("GET", "/v1/batches/batch_0", "/v1/batches/{batch_id}"),
        ("POST", "/v1/batches/batch_0/cancel", "/v1/batches/{batch_id}/cancel"),
        ("DELETE", "/v1/files/file-0", one),
    ]:
        answer = await local.http.request(method, url)
        schema = answer_schema(document, method, path, answer)
        if schema is not None:
            fits(document, schema, answer.json())
    made = (await local.http.post(RESPONSES, json={"model": BASE_ID, "input": "a", "max_output_tokens": 3})).json()
    for method, rest in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
        answer = await local.http.request(method, f"{RESPONSES}/{made['id']}{rest}")
        assert answer.status_code == 200
        fits(
            document, answer_schema(document, method, f"{RESPONSES}/{{response_id}}{rest}", answer) or {}, answer.json()
        )
    sent = await local.http.post("/v1/adapters", content=packed(adapter))
    assert sent.status_code == 201, sent.text
    fits(document, answer_schema(document, "POST", "/v1/adapters", sent) or {}, sent.json())
    assert (await local.http.post("/v1/unload_lora_adapter", json={"lora_name": "described"})).status_code == 200


@pytest.mark.parametrize(
    ("path", "event", "fields"),
    [
        (CHAT, "ChatCompletionChunk", {"messages": ASK, "logprobs": True}),
        (TEXT, "TextCompletion", {"prompt": "a", "logprobs": 2}),
        (RESPONSES, "ResponseEvent", {"input": "a", "top_logprobs": 2}),
        (RESPONSES, "ResponseEvent", {"input": "a", "tools": [NOW], "tool_choice": "required"}),
        (MESSAGES, "MessageEvent", {"messages": ASK}),
    ],
)
async def test_events_of_a_stream_are_as_described(local: Local, path: str, event: str, fields: dict[str, Any]) -> None:
    document = await described(local)
    body = {"model": "math_reasoning", "stream": True, **fields}
    if path in (CHAT, TEXT):
        body |= {"n": 2, "stream_options": {"include_usage": True}}
    answer = await local.http.post(path, json={**body, "max_output_tokens" if path == RESPONSES else "max_tokens": 3})
    lines = re.findall(r"^data: (\{.*)$", answer.text, re.MULTILINE)
    assert len(lines) > 3
    for line in lines:
        fits(document, schema_of(event), json.loads(line))
    assert (
        event
        in document["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]["schema"]["description"]
    )
    for header in ("x-adaptrix-adapter", "x-adaptrix-digest"):
        assert header in answer.headers
        assert header in document["paths"][path]["post"]["responses"]["200"]["headers"]


async def test_the_page_loads_nothing_from_elsewhere_and_all_of_it_is_there(local: Local) -> None:
    page = await local.http.get(PAGE)
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text)
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) == 3
    for place in loaded:
        answer = await local.http.get(f"/{place}")
        assert answer.status_code == 200
        assert place.startswith(ASSETS.removeprefix("/"))
        assert len(answer.content) > 1000
    assert f"'{DOCUMENT.removeprefix('/')}'" in page.text or DOCUMENT.removeprefix("/") in page.text


async def test_document_and_page_need_no_key(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    record = {"id": "a", "sha256": hash_key("secret"), "tenant": "t", "scopes": ["generate"]}
    keys.write_text(json.dumps({"keys": [record]}))
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with running(args, keys=keys) as (http, _):
        assert [(await http.get(path)).status_code for path in (DOCUMENT, PAGE)] == [200, 200]
        assert (await http.get("/v1/models")).status_code == 401
