"""Bad input: each is refused with a message that helps, in OpenAI's shape, and the next request is served."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.serving.conftest import BASE_ID, Local
from tests.serving.tiny import CONTEXT, World, load_base, save_tiny_base

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


@pytest_asyncio.fixture(loop_scope="session")
async def http(local: Local) -> AsyncIterator[httpx.AsyncClient]:
    """The client; after each test the next request must be served, and the engine must hold nothing."""
    yield local.http
    answer = await local.http.post(CHAT, json=chat())
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["choices"]) == 1


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "messages": ASK, "max_tokens": 2, **fields}


def text(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "prompt": "a b c", "max_tokens": 2, **fields}


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    """The error, once its status, code, shape and words are right."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["code"] == code, error
    for word in words:
        assert word in error["message"], error["message"]
    return error


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(messages=[])),
        (CHAT, chat(messages=[{"role": "user", "content": "  "}])),
        (TEXT, text(prompt="")),
        (TEXT, text(prompt=[])),
        (TEXT, text(prompt=["a", ""])),
        (TEXT, text(prompt=[[]])),
        ("/v1/embeddings", {"model": "all-minilm-l6-v2", "input": ""}),
        ("/v1/route", {"messages": []}),
    ],
)
async def test_empty_prompts(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    refused(await http.post(path, json=body), 400, "invalid_request")


async def test_a_body_over_the_limit(http: httpx.AsyncClient) -> None:
    big = json.dumps(chat(messages=[{"role": "user", "content": "x" * 10_000_000}])).encode()
    refused(await http.post(CHAT, content=big), 413, "body_too_large", str(len(big)), "1048576", "max_body_bytes")


async def test_a_body_over_the_limit_that_does_not_say_its_size(http: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    refused(await http.post(CHAT, content=parts()), 413, "body_too_large", "1048576")


async def test_a_prompt_over_the_context_names_both_lengths(http: httpx.AsyncClient) -> None:
    tokens = [5] * (CONTEXT + 88)
    refused(
        await http.post(TEXT, json=text(prompt=tokens)), 400, "context_length_exceeded", str(CONTEXT + 88), str(CONTEXT)
    )
    long = chat(messages=[{"role": "user", "content": "word " * 6000}])
    refused(await http.post(CHAT, json=long), 400, "context_length_exceeded", str(CONTEXT))
    refused(await http.post(CHAT, json={**long, "stream": True}), 400, "context_length_exceeded", str(CONTEXT))


@pytest.mark.parametrize("value", [-1, 0, "ten", 1.5, True])
async def test_max_tokens_of_no_sense(http: httpx.AsyncClient, value: object) -> None:
    bodies = [(CHAT, chat(max_tokens=value)), (TEXT, text(max_tokens=value))]
    for path, body in bodies[: 1 if value == 0 else 2]:  # 0 scores a text and adds nothing to it
        error = refused(await http.post(path, json=body), 400, "invalid_request", "max_tokens", repr(value))
        assert error["param"] == "max_tokens"


async def test_max_tokens_beyond_the_context(http: httpx.AsyncClient) -> None:
    for value in (CONTEXT + 1, 10**6):
        answer = await http.post(CHAT, json=chat(max_tokens=value))
        refused(answer, 400, "context_length_exceeded", str(value), str(CONTEXT))
    refused(await http.post(CHAT, json=chat(max_tokens=10**40)), 400, "invalid_request", "max_tokens")


async def test_an_unknown_model_lists_near_names(http: httpx.AsyncClient) -> None:
    error = refused(await http.post(CHAT, json=chat(model="math_reasonin")), 404, "model_not_found", "'math_reasoning'")
    assert error["param"] == "model"
    refused(await http.post(CHAT, json=chat(model="gpt-4o")), 404, "model_not_found", BASE_ID, "auto")
    refused(await http.post(TEXT, json=text(model="math_reasoning@9")), 404, "model_not_found", "math_reasoning@1.0.0")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "invalid_json", "line 1"),
        (b"{", "invalid_json", "line 1 column 1"),
        (b'{"model": "auto",}', "invalid_json", "column"),
        (b"[1, 2]", "invalid_json", "array"),
        (b'"text"', "invalid_json", "string"),
        (b'{"temperature": NaN}', "invalid_json", "NaN"),
        (b'{"temperature": -Infinity}', "invalid_json", "Infinity"),
        (b"\xef\xbb\xbf{}", "invalid_json", "column 1"),
        (b"[" * 100_000, "json_too_deep", "200"),
        (b'{"model": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}", "json_too_deep", "200"),
        (b'{"seed": ' + b"7" * 4000 + b"}", "number_too_long", "128"),
        (b'{"seed": 0.' + b"7" * 4000 + b"}", "number_too_long", "128"),
        (b"[" + b"[]," * 200_000 + b"1]", "json_too_many_values", "150000"),
        (b'{"model": "auto\xff"}', "invalid_utf8", "byte 15 is 0xff"),
        (b"\xff\xfe{}", "invalid_utf8", "byte 0"),
    ],
)
async def test_malformed_bodies(http: httpx.AsyncClient, content: bytes, code: str, words: str) -> None:
    refused(await http.post(CHAT, content=content), 400, code, words)


@pytest.mark.parametrize("lone", ['"\\ud800"', '"a\\udfffb"'])
async def test_lone_surrogates_are_not_text(http: httpx.AsyncClient, lone: str) -> None:
    body = f'{{"model": "{BASE_ID}", "messages": [{{"role": "user", "content": {lone}}}], "max_tokens": 2}}'
    refused(await http.post(CHAT, content=body.encode()), 400, "invalid_utf8", "without its other half")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"seed": 2**70}, "seed"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "Wizard!", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content.0"),
        ({"model": 7}, "model"),
        ({"model": None}, "model"),
        ({"stop": [1]}, "stop.0"),
        ({"logit_bias": {"five": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 1000}}, "logit_bias"),
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": 0.5}, "priority"),
        ({"top_logprobs": 3}, None),
        ({"stream_options": {"include_usage": True}}, None),
        ({"max_completion_tokens": 3}, None),
        ({"adaptrix": {"mix": {"math_reasoning": "much"}}}, "adaptrix.mix.math_reasoning"),
        ({"adaptrix": {"fallback": "maybe"}}, "adaptrix.fallback"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
async def test_wrong_types_and_values_name_their_field(
    http: httpx.AsyncClient, fields: dict[str, Any], param: str | None
) -> None:
    error = refused(await http.post(CHAT, json=chat(**fields)), 400, "invalid_request")
    assert (error["param"] or "").startswith(param or "")
    assert error["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("functions", [{}]),
        ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
        ("echo", True),
        ("x", None),
    ],
)
async def test_fields_that_do_not_work_are_named(http: httpx.AsyncClient, field: str, value: object) -> None:
    error = refused(await http.post(CHAT, json=chat(**{field: value})), 400, "unsupported_field", repr(field))
    assert error["param"] == field


async def test_long_names_are_refused_and_not_sent_back(http: httpx.AsyncClient) -> None:
    endless = "x" * 2049
    for options in ({"fork": [endless]}, {"mix": {endless: 1.0}}):
        answer = await http.post(CHAT, json=chat(adaptrix=options))
        refused(answer, 400, "invalid_request", "2048")
        assert endless[:100] not in answer.text
    answer = await http.post(CHAT, json=chat(model="m" * 2048))
    refused(answer, 404, "model_not_found", "m" * 80)
    assert "m" * 81 not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "192.168.1.4:8000"},
        {"host": "rebound.example:8000"},
        {"host": "127.0.0.1.rebound.example"},
        {"host": ""},
        {"origin": "https://page.example"},
        {"origin": "http://localhost.page.example"},
        {"origin": "null"},
    ],
)
async def test_web_pages_cannot_use_a_server_without_keys(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", CHAT):
        answer = await http.post(path, json=chat(), headers=headers)
        refused(answer, 403, f"foreign_{next(iter(headers))}", "security.api_keys_file")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8000"},
        {"host": "127.1.2.3"},
        {"host": "[::1]:8000", "origin": "http://[::1]:3000"},
        {"origin": "http://localhost:7860"},
    ],
)
async def test_local_names_and_pages_may_use_a_server_without_keys(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await http.get("/v1/models", headers=headers)).status_code == 200


async def test_a_misspelt_field_gets_a_suggestion_and_all_faults_come_together(http: httpx.AsyncClient) -> None:
    error = refused(
        await http.post(CHAT, json=chat(temprature=1, n=0)), 400, "invalid_request", "did you mean 'temperature'"
    )
    assert "n: should be greater than or equal to 1, not 0" in error["message"]


async def test_tokens_outside_the_vocabulary(http: httpx.AsyncClient) -> None:
    refused(await http.post(TEXT, json=text(prompt=[10**6])), 400, "invalid_request", "1000000", "vocabulary")
    refused(await http.post(CHAT, json=chat(logit_bias={"1000000": 1})), 400, "invalid_request", "1000000")


async def test_a_schema_that_cannot_be_kept_to(http: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no such type"}}}
    error = refused(await http.post(CHAT, json=chat(response_format=form)), 400, "invalid_request")
    assert error["param"] == "response_format"


async def test_unknown_paths_and_methods(http: httpx.AsyncClient) -> None:
    refused(await http.get("/v1/nothing"), 404, "unknown_path", "/v1/nothing")
    refused(await http.get(CHAT), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "header", ["serve_multiplexed_model_id", "serve-multiplexed-model-id", "x-serve-router-adapter"]
)
async def test_headers_that_steer_ray_are_refused(http: httpx.AsyncClient, header: str) -> None:
    refused(await http.post(CHAT, json=chat(), headers={header: "x"}), 400, "invalid_request", header)


@pytest.mark.parametrize("path", ["/etc", "../../etc", "{uploads}/../keys", "{uploads}/link", "/no/such/place"])
async def test_load_paths_outside_the_roots(http: httpx.AsyncClient, world: World, path: str) -> None:
    link = world.uploads / "link"
    if not link.is_symlink():
        link.symlink_to(world.keys)
    body = {"lora_name": "outside", "lora_path": path.format(uploads=world.uploads)}
    error = refused(
        await http.post("/v1/load_lora_adapter", json=body), 403, "path_outside_roots", "security.load_roots"
    )
    assert error["param"] == "lora_path"


NO_NAMES = [
    *("auto", "base", "Auto", "BASE", BASE_ID, BASE_ID.title(), "", "x" * 65, "A/" * 31 + "B"),
    *("a//b", "/a", "a/", "a/..", "../a", "a b", "a@1.0.0", "a*2", "a+b", "a[1]", "a:b", "a,b", "ä", "a\n"),
]


@pytest.mark.parametrize("name", NO_NAMES)
async def test_names_that_no_adapter_may_have(http: httpx.AsyncClient, world: World, name: str) -> None:
    body = {"lora_name": name, "lora_path": str(world.uploads)}
    error = refused(await http.post("/v1/load_lora_adapter", json=body), 400, "invalid_request")
    assert error["param"] == "lora_name"


@pytest.mark.parametrize("sent", ["{uploads}/my lora", "my lora"])
async def test_a_peft_directory_is_refused_by_the_path_that_was_sent(
    http: httpx.AsyncClient, world: World, sent: str
) -> None:
    (world.uploads / "my lora").mkdir(exist_ok=True)
    (world.uploads / "my lora" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    path = sent.format(uploads=world.uploads)
    answer = await http.post("/v1/load_lora_adapter", json={"lora_name": "lora", "lora_path": path})
    error = refused(answer, 422, "signature_missing", f"adaptrix import '{path}' --sign")
    assert error["message"].startswith(f"{path}: a PEFT directory")


async def test_an_adapter_for_another_base(http: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    save_tiny_base(tmp_path / "other", seed=1)
    foreign = world.write_adapter(world.uploads, "foreign", 5, load_base(tmp_path / "other"))
    body = {"lora_name": "foreign", "lora_path": str(foreign)}
    answer = await http.post("/v1/load_lora_adapter", json=body)
    error = refused(answer, 422, answer.json()["error"]["code"], "foreign")
    assert "base" in error["code"]
    assert (await http.post(CHAT, json=chat(model="foreign"))).status_code == 404


async def test_a_tampered_or_unsigned_adapter(http: httpx.AsyncClient, world: World) -> None:
    unsigned = world.write_adapter(world.uploads, "unsigned", 6, signed=False)
    answer = await http.post("/v1/load_lora_adapter", json={"lora_name": "unsigned", "lora_path": str(unsigned)})
    refused(answer, 422, "signature_missing", "unsigned: no signature.json")
    tampered = world.write_adapter(world.uploads, "tampered", 7)
    file = tampered / "layer_1.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    answer = await http.post("/v1/load_lora_adapter", json={"lora_name": "tampered", "lora_path": str(tampered)})
    assert answer.status_code == 422, answer.text
    listed = {adapter["name"] for adapter in (await http.get("/v1/adapters")).json()["data"]}
    assert not {"unsigned", "tampered"} & listed


async def test_two_loads_of_one_name_at_once(http: httpx.AsyncClient, world: World) -> None:
    one = world.write_adapter(world.uploads, "twice", 21)
    other = world.write_adapter(world.uploads / "more", "twice", 22)
    answers = await asyncio.gather(
        *(
            http.post("/v1/load_lora_adapter", json={"lora_name": "twice", "lora_path": str(path)})
            for path in (one, other)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (loser,) = [answer for answer in answers if answer.status_code == 409]
    refused(loser, 409, "adapter_busy", "twice")
    assert (await http.post(CHAT, json=chat(model="twice"))).status_code == 200
    assert (await http.post("/v1/unload_lora_adapter", json={"lora_name": "twice"})).status_code == 200
    shutil.rmtree(world.uploads / "more")


async def test_unloading_what_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/unload_lora_adapter", json={"lora_name": "math_reasonin"})
    error = refused(answer, 404, "model_not_found", "math_reasoning")
    assert error["param"] == "lora_name"
