"""No input makes a 500 or plain text: paths, headers, methods, encodings, names and a disk that takes nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deployments.http.errors import error_response
from tests.serving.conftest import BASE_ID, Local
from tests.serving.inprocess import running
from tests.serving.store.test_wrong_bytes import packed
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
LOAD, UNLOAD, PUBLISH = "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/adapters"
ASK = {"model": BASE_ID, "prompt": "one two", "max_tokens": 2}


def short(value: object) -> str:
    return repr(value)[:40]


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, once its shape is right."""
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["message"]
    assert len(answer.content) < 32_000
    return answer.status_code, error["code"]


@pytest.mark.parametrize(
    "path",
    [
        "{uploads}/a\0b",
        "\0",
        "{uploads}/" + "x" * 300,
        "x/" * 2000,
        "{uploads}/loop",
        "{uploads}/loop/below",
        "",
        " ",
        "~",
        ".",
    ],
)
async def test_paths_that_no_file_system_has(local: Local, world: World, path: str) -> None:
    loop = world.uploads / "loop"
    if not loop.is_symlink():
        loop.symlink_to(loop)
    body = {"lora_name": "odd", "lora_path": path.format(uploads=world.uploads)}
    assert refused(await local.http.post(LOAD, json=body))[0] in (400, 403, 404, 422)


@pytest.mark.parametrize("name", ["\0", "a" * 128, "../..", "a@" + "9" * 100, "@", "a@b@c", "é", " "])
async def test_names_that_nothing_has(local: Local, name: str) -> None:
    assert refused(await local.http.post(UNLOAD, json={"lora_name": name}))[0] == 404
    assert refused(await local.http.post(TEXT, json={**ASK, "model": name}))[0] == 404


@pytest.mark.parametrize(
    "model",
    [
        "math_reasoning*nan", "math_reasoning*inf", "math_reasoning*1e999", "math_reasoning*", "*", "+", "*1+*2",
        "a+" * 1000,
        "math_reasoning*0.5+math_reasoning*0.5", f"{BASE_ID}:", f"{BASE_ID}:{BASE_ID}",
        "math_reasoning*" + "9" * 2000,
        "auto*1", "base",
    ],
    ids=short,
)  # fmt: skip
async def test_mixes_of_no_sense(local: Local, model: str) -> None:
    assert refused(await local.http.post(TEXT, json={**ASK, "model": model}))[0] in (400, 404)


@pytest.mark.parametrize(
    "path",
    ["/v1/models/" + "x" * 60_000, "/v1/models/%00", "/v1/models/%ff", "/v1/models/..%2f..", "/" + "é" * 9000],
    ids=short,
)
async def test_odd_paths_of_urls(local: Local, path: str) -> None:
    assert refused(await local.http.get(path))[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
async def test_methods_that_a_path_does_not_take(local: Local, method: str) -> None:
    answer = await local.http.request(method, CHAT)
    assert refused(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", [CHAT + "/", "/v1", "/", "/v1//models", "/health/"])
async def test_paths_beside_the_endpoints_are_not_redirected(local: Local, path: str) -> None:
    assert refused(await local.http.post(path, json=ASK))[0] in (404, 405)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-request-timeout-seconds": "1e-9"}, (504, "deadline_exceeded")),
        ({"x-request-timeout-seconds": "0.0001"}, (504, "deadline_exceeded")),
        ({"x-request-timeout-seconds": "-1"}, (400, "invalid_request")),
        ({"x-request-timeout-seconds": "soon"}, (400, "invalid_request")),
        ({"x-request-timeout-seconds": "nan"}, (400, "invalid_request")),
        ({"x-request-timeout-seconds": b"\xe9"}, (400, "invalid_request")),
        ({"x-request-timeout-seconds": "9" * 5000}, (400, "invalid_request")),
        ({"content-encoding": "gzip"}, (415, "unsupported_encoding")),
        ({"content-encoding": "br, gzip"}, (415, "unsupported_encoding")),
        ({"content-length": "9" * 30}, (413, "body_too_large")),
    ],
    ids=short,
)  # fmt: skip
async def test_headers_of_no_sense(local: Local, headers: dict[str, Any], code: tuple[int, str]) -> None:
    assert refused(await local.http.post(TEXT, json=ASK, headers=headers)) == code


@pytest.mark.parametrize(
    "headers",
    [
        {"x-request-id": "é".encode()}, {"x-request-id": b"\xff\x00"}, {"x-request-id": "x" * 50_000},
        {"traceparent": b"\xe9"}, {"tracestate": "=,=" * 1000}, {"user-agent": "é".encode()},
        {"content-type": "text/plain"}, {"content-type": b"\xff"}, {"content-type": "application/json; charset=utf-7"},
        {"authorization": b"Bearer \xe9"}, {"accept": "image/png"}, {"content-length": "-1"}, {"content-length": "ten"},
    ],
    ids=short,
)  # fmt: skip
async def test_headers_that_change_nothing(local: Local, headers: dict[str, Any]) -> None:
    answer = await local.http.post(TEXT, json=ASK, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_of_a_field_that_comes_twice_the_last_counts(local: Local) -> None:
    body = f'{{"model": "nobody", "prompt": "a", "max_tokens": 1, "model": "{BASE_ID}"}}'
    assert (await local.http.post(TEXT, content=body)).status_code == 200


async def test_a_message_is_cut_and_made_whole_characters() -> None:
    answer = error_response(OSError(2, "No such file", "/secret/place/" + "\udce9" * 50_000))
    assert answer.status_code == 507
    assert b"secret" not in answer.body
    assert len(answer.body) < 32_000


@pytest_asyncio.fixture(loop_scope="session")
async def with_state(world: World, tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    """A server of its own, and its state directory."""
    state = tmp_path / "state"
    state.mkdir()
    async with running(world.settings(adapters={"state_dir": str(state)}, router={"enabled": False})) as (http, _):
        yield http, state


async def changes(http: httpx.AsyncClient, world: World, name: str) -> list[httpx.Response]:
    """One request of each kind that writes into the state directory."""
    loaded = world.uploads / f"{name}-loaded"
    if not loaded.exists():
        world.write_adapter(world.uploads, f"{name}-loaded", 71)
        world.write_adapter(world.uploads, f"{name}-sent", 72)
    return [
        await http.post(LOAD, json={"lora_name": f"{name}-loaded", "lora_path": str(loaded)}),
        await http.post(PUBLISH, content=packed(world.uploads / f"{name}-sent")),
        await http.post(UNLOAD, json={"lora_name": "code_generation"}),
    ]


async def test_a_state_directory_that_is_not_one(
    with_state: tuple[httpx.AsyncClient, Path], world: World, tmp_path: Path
) -> None:
    http, state = with_state
    state.rename(tmp_path / "kept")
    state.write_text("in the way")
    for answer in await changes(http, world, "gone"):
        assert refused(answer) == (507, "storage_failed")
    assert (await http.post(TEXT, json=ASK)).status_code == 200
    assert (await http.post(TEXT, json={**ASK, "model": "code_generation"})).status_code == 200
    state.unlink()
    (tmp_path / "kept").rename(state)
    assert [answer.status_code for answer in await changes(http, world, "gone")] == [200, 201, 200]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own. Only root may mount one, and not everywhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_state_directory(world: World, full_disk: Path) -> None:
    state = full_disk / "state"
    async with running(world.settings(adapters={"state_dir": str(state)}, router={"enabled": False})) as (http, _):
        filler = full_disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(1 << 20))
        for answer in await changes(http, world, "full"):
            assert refused(answer) == (507, "storage_full")
        assert (await http.post(TEXT, json={**ASK, "model": "code_generation"})).status_code == 200
        filler.unlink()
        assert (await http.post(UNLOAD, json={"lora_name": "code_generation"})).status_code == 200
