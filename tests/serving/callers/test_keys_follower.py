"""A server follows its keys file: changes are in force at the next look, and end what may not run any more."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from adaptrix_core.errors import Unauthorized
from deployments.callers.key_changes import changed, created
from deployments.callers.key_file import change_keys, hash_key
from deployments.callers.key_ring import KeyRing
from deployments.callers.keys_follower import KeysFollower
from deployments.callers.running_requests import RunningRequests
from deployments.generation.deadline import Deadline
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    records = [{"id": name, "sha256": hash_key(name), "tenant": name, "roles": ["user"]} for name in ("ana", "ben")]
    path.write_text(json.dumps({"keys": records}))
    return path


class Server:
    """A ring, what runs, and what follows the file for them."""

    def __init__(self, file: Path) -> None:
        self.now = time.time()
        self.ring = KeyRing(None, lambda: self.now)
        self.ring.replace(())
        self.running = RunningRequests()
        self.look = KeysFollower(self.ring, file, self.running).look

    def works(self, key: str) -> bool:
        try:
            self.ring.identify(f"Bearer {key}")
        except Unauthorized:
            return False
        return True

    def begin(self, key_id: str) -> asyncio.Task[str]:
        """A request with a key, which runs until it is ended; its result is why."""

        async def run() -> str:
            deadline = Deadline(None)
            self.running.note(key_id, deadline)
            begun.set()
            try:
                async with deadline.limit():
                    await asyncio.Event().wait()
            except Unauthorized as error:
                return f"{error.code}: {error.message}"
            return "ended by itself"

        begun = asyncio.Event()
        return asyncio.create_task(run())


async def test_keys_that_are_new_or_gone_are_noticed(file: Path) -> None:
    server = Server(file)
    await server.look()
    assert server.works("ana")
    _, key = change_keys(file, lambda records: created(records, "new", "t", ("user",), None))
    change_keys(file, lambda records: (tuple(r for r in records if r.id != "ana"), None))
    await server.look()
    assert server.works(key)
    assert not server.works("ana")


@pytest.mark.parametrize("how", ["disabled", "expired", "removed"])
async def test_a_key_takes_its_requests_with_it_and_nobody_elses(file: Path, how: str) -> None:
    server = Server(file)
    await server.look()
    ana, ben = server.begin("ana"), server.begin("ben")
    await asyncio.sleep(0)
    await server.look()
    assert not ana.done()
    if how == "disabled":
        change_keys(file, lambda records: (changed(records, "ana", disabled=True), None))
    elif how == "removed":
        change_keys(file, lambda records: (tuple(r for r in records if r.id != "ana"), None))
    else:
        soon = datetime.fromtimestamp(server.now + 60, UTC)
        change_keys(file, lambda records: (changed(records, "ana", expires=soon), None))
        await server.look()
        assert not ana.done()
        server.now += 61
    await server.look()
    told = await asyncio.wait_for(ana, 10)
    assert told.startswith("key_revoked: API key 'ana' ")
    assert {"disabled": "is disabled", "expired": "expired at", "removed": "was removed"}[how] in told
    await server.look()
    assert not ben.done()
    ben.cancel()


@pytest.mark.parametrize("content", ['{"keys": [{"id": "ana", "sha2', "", '{"keys": []}'])
async def test_a_file_that_is_half_written_or_gone_changes_nothing(
    file: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(file)
    await server.look()
    whole = file.read_text()
    file.write_text(content)
    await server.look()
    assert server.works("ana")
    assert "as they were" in caplog.text
    file.unlink()
    await server.look()
    assert server.works("ana")
    file.write_text(whole.replace(hash_key("ana"), hash_key("eve")))
    await server.look()
    assert not server.works("ana")


async def test_a_stream_ends_by_an_error_when_its_key_is_disabled_and_others_go_on(
    world: World, file: Path, tmp_path: Path
) -> None:
    body = {"model": BASE_ID, "prompt": [5, 6, 7], "max_tokens": 400, "ignore_eos": True, "stream": True}
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with (
        application(args, keys=file) as (app, _),
        listening(app) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as http,
    ):
        begun = {"ana": asyncio.Event(), "ben": asyncio.Event()}

        async def read(key: str) -> list[str]:
            headers, lines = {"authorization": f"Bearer {key}"}, []
            async with http.stream("POST", "/v1/completions", json=body, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    lines += [line] if line.startswith("data: ") else []
                    begun[key].set()
            return lines

        ana, ben = (asyncio.create_task(read(key)) for key in begun)
        await asyncio.gather(*(event.wait() for event in begun.values()))
        change_keys(file, lambda records: (changed(records, "ana", disabled=True), None))
        ended, whole = await ana, await ben
        assert json.loads(ended[-2].removeprefix("data: "))["error"]["code"] == "key_revoked"
        assert "error" not in whole[-2]
        refused = await ask(http, "ana", body)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_what_a_revoked_keys_tenant_had_in_the_cache_is_found_by_none_of_its_keys(
    world: World, file: Path, tmp_path: Path
) -> None:
    body: dict[str, object] = {"model": BASE_ID, "prompt": list(range(5, 75)), "max_tokens": 1}
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    _, mate = change_keys(file, lambda records: created(records, "mate", "ana", ("user",), None))

    async def cached(key: str) -> bool:
        answer = await ask(http, key, body)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]) > 0

    async with (
        application(args, keys=file) as (app, _),
        listening(app) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as http,
    ):
        assert [await cached(key) for key in ("ana", "ana", mate, "ben", "ben")] == [False, True, True, False, True]
        change_keys(file, lambda records: (changed(records, "ana", disabled=True), None))
        await eventually(partial(is_refused, http, "ana", body))
        assert [await cached(key) for key in (mate, mate, "ben")] == [False, True, True]


async def is_refused(http: httpx.AsyncClient, key: str, body: dict[str, object]) -> bool:
    return (await ask(http, key, body)).status_code == 401


async def ask(http: httpx.AsyncClient, key: str, body: dict[str, object]) -> httpx.Response:
    return await http.post("/v1/completions", json=body, headers={"authorization": f"Bearer {key}"})
