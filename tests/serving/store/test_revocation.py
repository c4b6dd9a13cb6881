"""Revocation on a running server: what runs ends, what comes is refused, nothing of the adapter stays."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.mix import Term
from deployments.shared.wire import GenerateCall
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
LONG = {"max_tokens": 3000, "temperature": 0, "ignore_eos": True}


@pytest.fixture
def args(world: World, tmp_path: Path) -> dict[str, object]:
    return world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})


@pytest_asyncio.fixture
async def server(args: dict[str, object]) -> AsyncIterator[tuple[httpx.AsyncClient, LocalStore]]:
    async with running(args) as started:
        yield started


async def ask(http: httpx.AsyncClient, model: str, **fields: object) -> httpx.Response:
    body = {"model": model, "messages": ASK, "max_tokens": 4, "temperature": 0, **fields}
    return await http.post("/v1/chat/completions", json=body)


def signed(world: World, revocations: RevocationList, key: Path | None = None) -> dict[str, str]:
    files = sign_list(revocations, key or world.private_key)
    names = {"revocations": REVOCATIONS_FILE, "signature": SIGNATURE_FILE}
    return {field: base64.b64encode(files[name]).decode() for field, name in names.items()}


async def revoke(http: httpx.AsyncClient, world: World, revocations: RevocationList) -> httpx.Response:
    return await http.post("/v1/revocations", json=signed(world, revocations))


def package_of(store: LocalStore, name: str) -> str:
    entry = store.catalogue.public.find(name)
    assert entry is not None
    return entry.package_digest


def bundle_of(store: LocalStore, name: str) -> str:
    entry = store.catalogue.public.find(name)
    assert entry is not None
    return entry.bundle_digest


async def test_running_streams_end_and_nothing_of_the_adapter_stays(
    server: tuple[httpx.AsyncClient, LocalStore], world: World
) -> None:
    http, store = server
    before = await ask(http, "code_generation")
    package = package_of(store, "math_reasoning")
    bundle = bundle_of(store, "math_reasoning")
    weights = store.worker.holdings.report()[0][bundle].weights_digest
    stream = asyncio.create_task(ask(http, "math_reasoning", **LONG, stream=True))
    whole = asyncio.create_task(ask(http, "math_reasoning", **LONG))
    other = asyncio.create_task(ask(http, "code_generation", max_tokens=150, ignore_eos=True))

    async def all_run() -> bool:
        return (await store.worker.report("r", "")).stats["rows_running"] >= 3

    await eventually(all_run)
    revoked = await revoke(http, world, RevocationList(1, {package: "leaks"}))
    assert revoked.json() == {
        "object": "adaptrix.revocations",
        "number": 1,
        "confirmed": ["replica-1"],
        "waiting": [],
    }
    streamed, ended = await stream, await whole
    last = [line for line in streamed.text.splitlines() if line.startswith("data: {")][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "adapter_revoked"
    assert (ended.status_code, ended.json()["error"]["code"]) == (422, "adapter_revoked")
    assert "leaks" in ended.json()["error"]["message"]
    assert (await other).json()["usage"]["completion_tokens"] == 150
    refused = await ask(http, "math_reasoning")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "adapter_revoked")
    assert (await ask(http, "code_generation")).json()["choices"] == before.json()["choices"]

    await eventually(lambda: bundle not in store.worker.holdings.report()[0])
    engine = store.worker._engine
    assert weights not in engine.loader.get_memory_usage()["adapters"]
    assert [pool.forget_label(weights) for pool in engine.prefixes._cache.pools] == [0] * len(
        engine.prefixes._cache.pools
    )
    assert not list((store.worker._scratch.path / "packages").glob(bundle))
    assert engine.check_integrity() == []


async def test_a_request_that_is_being_admitted_is_caught_too(
    server: tuple[httpx.AsyncClient, LocalStore], world: World
) -> None:
    _, store = server
    package = package_of(store, "math_reasoning")
    sampling = {"max_tokens": 3000, "temperature": 0.0, "ignore_eos": True}
    call = GenerateCall("early", (5, 6, 7), ((Term(bundle_of(store, "math_reasoning")),),), sampling, b"")
    stream = store.worker.generate(call)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)  # it has begun, and nothing has been computed
    await store.revoke(sign_list(RevocationList(1, {package: ""}), world.private_key))

    async def to_the_end() -> None:
        await first
        async for _ in stream:
            continue

    with pytest.raises(AdapterRejected, match="is revoked by list 1") as ended:
        await to_the_end()
    assert ended.value.code == "adapter_revoked"

    async def idle() -> bool:
        return (await store.worker.report("r", "")).stats["rows_running"] == 0

    await eventually(idle)


async def test_a_list_survives_a_restart_and_an_older_one_never_replaces_it(
    args: dict[str, object], world: World
) -> None:
    async with running(args) as (http, store):
        package = package_of(store, "math_reasoning")
        assert (await revoke(http, world, RevocationList(2, {package: ""}))).status_code == 200
    async with running(args) as (http, _):
        assert (await ask(http, "math_reasoning")).json()["error"]["code"] == "adapter_revoked"
        for number, code in ((1, "revocation_rollback"), (2, "revocation_number_taken")):
            older = await revoke(http, world, RevocationList(number, {}))
            assert (older.status_code, older.json()["error"]["code"]) == (409, code)
        assert (await http.get("/v1/revocations")).json()["revoked"] == {package: ""}
        assert (await revoke(http, world, RevocationList(3, {}))).status_code == 200

        async def serves_again() -> bool:
            return (await ask(http, "math_reasoning")).status_code == 200

        await eventually(serves_again)


async def test_lists_that_no_trusted_key_signed_are_refused(
    server: tuple[httpx.AsyncClient, LocalStore], world: World, tmp_path: Path
) -> None:
    http, store = server
    package = package_of(store, "math_reasoning")
    generate_key_pair(tmp_path / "other.key", tmp_path / "other.pub")
    stranger = signed(world, RevocationList(1, {package: ""}), tmp_path / "other.key")
    good = signed(world, RevocationList(1, {package: ""}))
    swapped = {**good, "revocations": base64.b64encode(b'{"number": 1, "revoked": {}}').decode()}
    for body, code in ((stranger, "untrusted_key"), (swapped, "tampered")):
        refused = await http.post("/v1/revocations", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
    assert (await http.post("/v1/revocations", json={"revocations": "no"})).status_code == 400
    assert (await ask(http, "math_reasoning")).status_code == 200
    assert (await http.get("/v1/revocations")).json()["number"] == 0


async def test_past_the_lease_only_the_base_model_answers(
    server: tuple[httpx.AsyncClient, LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store = server
    assert (await ask(http, "math_reasoning")).status_code == 200
    store.revocations.stop()
    lease = store.worker.lease
    later = lease.now() + lease.max_age_s + 1
    monkeypatch.setattr(lease, "_clock", lambda: later)
    refused = await ask(http, "math_reasoning")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "adapter_unconfirmed")
    assert (await ask(http, BASE_ID)).status_code == 200
    await store.revocations.refresh()
    assert (await ask(http, "math_reasoning")).status_code == 200


async def test_without_a_store_the_signed_list_in_the_shared_directory_counts(
    server: tuple[httpx.AsyncClient, LocalStore], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store = server
    package = package_of(store, "math_reasoning")
    store.revocations.stop()

    async def lost(known_number: int, wait_s: float) -> None:
        raise ConnectionError("the store is gone")

    monkeypatch.setattr(store.revocations, "_ask", lost)
    store.actor._board.put_in_force(sign_list(RevocationList(1, {package: ""}), world.private_key))
    await store.revocations.refresh()
    assert (await ask(http, "math_reasoning")).json()["error"]["code"] == "adapter_revoked"
    lease = store.worker.lease
    confirmed_at = lease._confirmed_at
    monkeypatch.setattr(store.revocations, "_ask_directory", lost)
    await store.revocations.refresh()
    assert lease._confirmed_at == confirmed_at, "nobody answered, and the lease was renewed"
