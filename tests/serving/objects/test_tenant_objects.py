"""The store of tenants' objects: owners, quotas, times to live, crashes and damage, over real files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.errors import AdaptrixError, Overloaded, StorageFailed
from adaptrix_core.request_limits import MOST
from deployments.objects.contents import READ_BYTES
from deployments.objects.keeper import SWEEP_S, Keeper
from deployments.objects.records import ObjectKey
from deployments.objects.tenant_objects import TenantObjects
from deployments.objects.uploads import IDLE_S
from deployments.shared.errors import BodyTooLarge, NotReady, ObjectNotFound, QuotaFull

LIMITS = ObjectSettings(max_object_bytes=64 << 10, max_tenant_bytes=128 << 10, max_bytes=300 << 10)


class Clock:
    """A wall clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    directory: Path, limits: ObjectSettings = LIMITS, now: Callable[[], float] = time.time
) -> AsyncIterator[TenantObjects]:
    keeper = Keeper(directory, limits, now)
    try:
        yield TenantObjects(keeper)
    finally:
        await keeper.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TenantObjects]:
    async with opened(tmp_path) as made:
        yield made


def response(object_id: str, tenant: str = "ours") -> ObjectKey:
    return ObjectKey(tenant, "response", object_id)


def file(object_id: str, tenant: str = "ours") -> ObjectKey:
    return ObjectKey(tenant, "file", object_id)


async def upload(store: TenantObjects, key: ObjectKey, *parts: bytes) -> None:
    name = await store.begin_upload(key.tenant)
    for part in parts:
        await store.add_to_upload(name, part)
    await store.finish_upload(name, key, b"{}")


async def test_an_object_is_what_was_put_last_until_it_is_deleted(store: TenantObjects) -> None:
    await store.put_object(response("a"), b"one")
    await store.put_object(response("a"), b"two")
    assert (await store.get_object(response("a"))).document == b"two"
    await store.delete_object(response("a"))
    with pytest.raises(ObjectNotFound):
        await store.get_object(response("a"))


async def test_what_is_anothers_is_answered_like_what_is_not_there(store: TenantObjects) -> None:
    await upload(store, file("a", "theirs"), b"secret")
    await store.put_object(response("a", "theirs"), b"secret")
    for key in (file("a"), response("a"), file("a", "theirs/file"), response("never", "theirs")):
        for method in (store.get_object, store.delete_object):
            with pytest.raises(ObjectNotFound) as told:
                await method(key)
            assert "theirs" not in told.value.message
        with pytest.raises(ObjectNotFound):
            await store.read_contents(key, 0, 10)
    assert (await store.list_objects("ours", "file")).objects == ()
    with pytest.raises(ObjectNotFound):
        await store.list_objects("ours", "file", after="a")
    assert (await store.get_object(response("a", "theirs"))).document == b"secret"


async def test_ids_of_two_kinds_are_apart(store: TenantObjects) -> None:
    await store.put_object(response("a"), b"one")
    with pytest.raises(ObjectNotFound):
        await store.get_object(file("a"))


async def test_pages_follow_one_another_in_both_orders(store: TenantObjects) -> None:
    ids = [f"r{number}" for number in range(7)]
    for object_id in ids:
        await store.put_object(response(object_id), b"x")
    for newest_first in (True, False):
        seen: list[str] = []
        while True:
            page = await store.list_objects("ours", "response", seen[-1] if seen else None, 3, newest_first)
            seen += [found.key.object_id for found in page.objects]
            if not page.has_more:
                break
        assert seen == (ids[::-1] if newest_first else ids)


async def test_contents_are_read_in_parts(store: TenantObjects, tmp_path: Path) -> None:
    await upload(store, file("a"), b"hello ", b"world")
    assert (await store.get_object(file("a"))).content_bytes == 11
    assert await store.read_contents(file("a"), 4, 4) == b"o wo"
    assert await store.read_contents(file("a"), 6, READ_BYTES) == b"world"
    assert await store.read_contents(file("a"), 11, 5) == b""
    await store.delete_object(file("a"))
    assert list((tmp_path / "objects" / "contents").iterdir()) == []


async def test_an_object_is_over_when_its_time_is(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, now=clock) as store:
        await store.put_object(response("a"), b"x", ttl_s=60)
        await store.put_object(response("b"), b"x")
        clock.now += 59
        assert (await store.get_object(response("a"))).expires_at == 1_000_060
        clock.now += 1
        with pytest.raises(ObjectNotFound):
            await store.get_object(response("a"))
        assert [found.key.object_id for found in (await store.list_objects("ours", "response")).objects] == ["b"]


async def test_what_is_over_makes_room(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, now=clock) as store:
        for name in ("a", "b"):
            await store.put_object(response(name), bytes(60 << 10), ttl_s=60)
        with pytest.raises(QuotaFull):
            await store.put_object(response("c"), bytes(60 << 10))
        clock.now += 60 + SWEEP_S
        await store.put_object(response("c"), bytes(60 << 10))


async def test_a_full_quota_is_one_tenants_and_deleting_helps(store: TenantObjects) -> None:
    for name in ("a", "b"):
        await store.put_object(response(name), bytes(60 << 10))
    with pytest.raises(QuotaFull) as told:
        await store.put_object(response("c"), bytes(60 << 10))
    assert str(128 << 10) in told.value.message
    with pytest.raises(QuotaFull):
        await upload(store, file("c"), bytes(60 << 10))
    await store.put_object(response("c", "theirs"), bytes(60 << 10))
    await store.delete_object(response("a"))
    await store.put_object(response("c"), bytes(60 << 10))


async def test_many_empty_objects_fill_a_quota(store: TenantObjects) -> None:
    kept = 0
    with contextlib.suppress(QuotaFull):
        for kept in range(1000):
            await store.put_object(response(f"r{kept}"), b"")
    assert kept < 300


async def test_of_objects_that_give_way_the_oldest_go_first_and_only_the_tenants_own(store: TenantObjects) -> None:
    await store.put_object(response("theirs", "theirs"), bytes(60 << 10), gives_way=True)
    await store.put_object(response("kept"), bytes(60 << 10))
    for number in range(6):
        await store.put_object(response(f"r{number}"), bytes(20 << 10), gives_way=True)
    left = {found.key.object_id for found in (await store.list_objects("ours", "response")).objects}
    assert left == {"kept", "r3", "r4", "r5"}
    await store.get_object(response("theirs", "theirs"))


async def test_a_refused_object_leaves_the_one_in_its_place(store: TenantObjects) -> None:
    await store.put_object(response("a"), b"x")
    await store.put_object(response("b"), bytes(60 << 10))
    await store.put_object(response("c"), bytes(60 << 10))
    with pytest.raises(QuotaFull):
        await store.put_object(response("a"), bytes(60 << 10))
    assert (await store.get_object(response("a"))).document == b"x"


async def test_an_object_over_the_largest_size_is_refused_as_soon_as_it_is(store: TenantObjects) -> None:
    with pytest.raises(BodyTooLarge, match=r"objects\.max_object_bytes"):
        await store.put_object(response("a"), bytes((64 << 10) + 1))
    name = await store.begin_upload("ours")
    await store.add_to_upload(name, bytes(40 << 10))
    with pytest.raises(BodyTooLarge):
        await store.add_to_upload(name, bytes(40 << 10))
    with pytest.raises(NotReady):  # it is over
        await store.add_to_upload(name, b"x")


async def test_when_all_room_is_taken_it_is_no_ones_quota(store: TenantObjects) -> None:
    for tenant in ("a", "b", "c", "d"):
        await store.put_object(response("x", tenant), bytes(60 << 10))
    with pytest.raises(StorageFailed) as told:
        await store.put_object(response("x", "e"), bytes(60 << 10))
    assert told.value.code == "storage_full"


async def test_uploads_under_way_count(store: TenantObjects) -> None:
    first, second, third = [await store.begin_upload("ours") for _ in range(3)]
    await store.add_to_upload(first, bytes(60 << 10))
    await store.add_to_upload(second, bytes(60 << 10))
    with pytest.raises(QuotaFull):
        await store.add_to_upload(third, bytes(60 << 10))


async def test_uploads_of_one_tenant_are_few(store: TenantObjects) -> None:
    names = [await store.begin_upload("ours") for _ in range(MOST.uploads_at_once)]
    with pytest.raises(Overloaded):
        await store.begin_upload("ours")
    await store.begin_upload("theirs")
    await store.drop_upload(names[0])
    await store.begin_upload("ours")


async def test_an_upload_whose_sender_has_gone_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    async with opened(tmp_path, now=clock) as store:
        name = await store.begin_upload("ours")
        began = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: began + IDLE_S + 1)
        clock.now += SWEEP_S + 1
        with pytest.raises(NotReady):
            await store.add_to_upload(name, b"x")
        assert list((tmp_path / "objects" / "staged").iterdir()) == []


CRASHES = """
import asyncio, sys
from pathlib import Path
from adaptrix_core.config.sections import ObjectSettings
from deployments.objects.keeper import Keeper
from deployments.objects.records import ObjectKey
from deployments.objects.tenant_objects import TenantObjects

async def main():
    store = TenantObjects(Keeper(Path(sys.argv[1]), ObjectSettings()))
    number = 0
    while True:
        key = ObjectKey("ours", "file", f"f{number}")
        name = await store.begin_upload("ours")
        await store.add_to_upload(name, f"contents {number}".encode())
        await store.finish_upload(name, key, f"{number}".encode())
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


async def test_whatever_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", CRASHES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    confirmed = [int(process.stdout.readline()) for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    confirmed += [int(line) for line in process.stdout.read().split()]
    process.wait()
    async with opened(tmp_path, ObjectSettings()) as store:
        for number in confirmed:
            assert (await store.get_object(file(f"f{number}"))).document == str(number).encode()
            assert await store.read_contents(file(f"f{number}"), 0, 100) == f"contents {number}".encode()
        files = (await store.list_objects("ours", "file")).objects
    assert len(list((tmp_path / "objects" / "contents").iterdir())) == len(files)  # no leftovers


async def test_what_a_crash_has_left_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await upload(store, file("a"), b"contents")
    for place in ("contents", "staged"):  # put in place, but not named yet; and not finished
        (tmp_path / "objects" / place / "leftover").write_bytes(b"x")
    async with opened(tmp_path) as store:
        assert await store.read_contents(file("a"), 0, 100) == b"contents"
    assert len(list((tmp_path / "objects" / "contents").iterdir())) == 1
    assert list((tmp_path / "objects" / "staged").iterdir()) == []


async def test_the_next_process_waits_for_the_one_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as second:
        async with opened(tmp_path) as first:
            await first.put_object(response("a"), b"x")
            waiting = asyncio.create_task(second.get_object(response("a")))
            await asyncio.sleep(0.3)
            assert not waiting.done()
        assert (await waiting).document == b"x"


@pytest.mark.parametrize("damage", ["no database at all", "pages overwritten"])
async def test_a_damaged_database_is_named_and_set_aside(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await upload(store, file("a"), b"contents")
        for number in range(50):
            await store.put_object(response(f"r{number}"), bytes(1000))
    database = tmp_path / "objects" / "objects.db"
    data = bytearray(database.read_bytes())
    if damage == "no database at all":
        data[:100] = b"?" * 100
    else:
        data[4096 * 2 :] = b"?" * (len(data) - 4096 * 2)
    database.write_bytes(bytes(data))
    async with opened(tmp_path) as store:
        with pytest.raises(ObjectNotFound):
            await store.get_object(file("a"))
        await store.put_object(response("new"), b"x")
    assert str(database) in caplog.text
    (aside,) = (tmp_path / "objects").glob("damaged-*")
    assert (aside / "objects.db").read_bytes()[100:] == bytes(data)[100:]  # but for counters in its header
    assert [kept.read_bytes() for kept in (aside / "contents").iterdir()] == [b"contents"]


@pytest.mark.parametrize("damage", ["gone", "cut"])
async def test_damaged_contents_are_said_and_harm_no_other_object(tmp_path: Path, damage: str) -> None:
    async with opened(tmp_path) as store:
        await upload(store, file("a"), b"first")
        (contents,) = (tmp_path / "objects" / "contents").iterdir()
        await upload(store, file("b"), b"second")
        if damage == "gone":
            contents.unlink()
        else:
            contents.write_bytes(b"fi")
        with pytest.raises(StorageFailed, match=contents.name):
            await store.read_contents(file("a"), 0, 10)
        assert await store.read_contents(file("b"), 0, 10) == b"second"
        await store.delete_object(file("a"))


async def test_an_unusable_directory_fails_calls_until_it_is_usable(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("in the way")
    async with opened(tmp_path) as store:
        with pytest.raises((OSError, AdaptrixError)):
            await store.put_object(response("a"), b"x")
        (tmp_path / "objects").unlink()
        await store.put_object(response("a"), b"x")
