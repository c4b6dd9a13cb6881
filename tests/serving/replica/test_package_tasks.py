"""Adapters that are slow or fail to load: their requests are told at once, nobody else's wait, and they recover."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.config import load_settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterRejected, AdapterUnavailable
from adaptrix_core.injection.mix import Term
from adaptrix_core.observe.tracing import start_tracing
from deployments.replica.packages import circuit_breakers
from deployments.replica.packages.circuit_breakers import FAILURES_TO_OPEN, MAX_OPEN_S, OPEN_S, CircuitBreakers
from deployments.replica.packages.source import PackageSource
from deployments.replica.packages.tasks import PackageTasks
from deployments.replica.worker import EngineWorker
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry
from deployments.shared.wire import GenerateCall, Piece
from deployments.store.package_files import describe, read_directory
from tests.serving.conftest import eventually
from tests.serving.tiny import World


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_circuit_opens_after_failures_in_a_row_for_longer_each_time_and_closes_with_a_success() -> None:
    clock = Clock()
    breakers = CircuitBreakers(clock)
    for _ in range(FAILURES_TO_OPEN - 1):
        breakers.failed("p", OSError("gone"))
        breakers.require_closed("p")
    pauses = []
    for _ in range(9):
        breakers.failed("p", OSError("gone"))
        with pytest.raises(AdapterUnavailable, match="OSError: gone") as caught:
            breakers.require_closed("p")
        assert caught.value.retry_after_s == breakers.retry_in_s("p")
        pauses.append(breakers.retry_in_s("p"))
    assert pauses[:3] == [OPEN_S, 2 * OPEN_S, 4 * OPEN_S]
    assert pauses[-1] == MAX_OPEN_S
    breakers.require_closed("another")
    clock.now += MAX_OPEN_S
    assert breakers.retry_in_s("p") == 0.0
    with pytest.raises(AdapterUnavailable):  # half open: the next try is not a request's
        breakers.require_closed("p")
    breakers.close("p")
    breakers.require_closed("p")


def entry_of(directory: Path) -> Entry:
    return describe(read_directory(directory))


class Source:
    """Hands out packages from directories; each may be made to hang or to fail."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self.files = {entry_of(path).bundle_digest: read_directory(path).files for path in directories.values()}
        self.hanging: dict[str, asyncio.Event] = {}
        self.failing: dict[str, BaseException] = {}
        self.asked: list[str] = []

    async def fetch(self, package: BundleDigest, name: str) -> Snapshot:
        self.asked.append(package)
        if package in self.hanging:
            await self.hanging[package].wait()
        if package in self.failing:
            raise self.failing[package]
        return Snapshot(name, self.files[package])


@pytest.fixture
def directories(world: World) -> dict[str, Path]:
    return {name: world.shipped / name for name in ("math_reasoning", "code_generation")}


@pytest.fixture
def source(directories: dict[str, Path]) -> Source:
    return Source(directories)


@pytest_asyncio.fixture
async def worker(world: World, source: Source, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EngineWorker]:
    monkeypatch.setattr(circuit_breakers, "PAUSE_S", 0.01)
    monkeypatch.setattr(circuit_breakers, "OPEN_S", 0.2)
    monkeypatch.setattr("deployments.replica.packages.holdings.PATIENCE_S", 0.2)
    settings = load_settings(world.settings())
    made = EngineWorker(settings, source.fetch, start_tracing(settings.observe, "replica", "test"))
    made.lease.confirm(None, made.lease.now())
    yield made
    made.stop()


def call(name: str, package: str) -> GenerateCall:
    sampling = {"max_tokens": 3, "temperature": 0.0, "ignore_eos": True, "seed": 1}
    return GenerateCall(name, (5, 6, 7), ((Term(package),),), sampling, b"")


async def answer(worker: EngineWorker, package: str, name: str = "x") -> list[Piece]:
    return [piece async for pieces in worker.generate(call(name, package)) for piece in pieces]


async def test_an_adapter_that_hangs_delays_no_other_and_is_served_once_it_has_come(
    worker: EngineWorker, source: Source, directories: dict[str, Path]
) -> None:
    slow, good = (entry_of(directories[name]) for name in directories)
    source.hanging[slow.bundle_digest] = asyncio.Event()
    await worker.holdings.sync(Catalogue("1", (slow, good)))
    waiting = asyncio.create_task(answer(worker, slow.bundle_digest, "waits"))
    assert (await answer(worker, good.bundle_digest))[-1].finish_reason == "length"
    assert not waiting.done()
    assert set(worker.holdings.report()[0]) == {good.bundle_digest}
    source.hanging[slow.bundle_digest].set()
    assert (await waiting)[-1].finish_reason == "length"


async def test_an_adapter_that_keeps_failing_is_unavailable_at_once_and_comes_back(
    worker: EngineWorker, source: Source, directories: dict[str, Path]
) -> None:
    bad, good = (entry_of(directories[name]) for name in directories)
    source.failing[bad.bundle_digest] = OSError("the bucket does not answer")
    await worker.holdings.sync(Catalogue("1", (bad, good)))
    await eventually(lambda: bad.bundle_digest in worker.holdings.report()[1])
    refusal = worker.holdings.report()[1][bad.bundle_digest]
    assert refusal.code == "adapter_unavailable"
    asked = len(source.asked)
    with pytest.raises(AdapterUnavailable, match="bucket does not answer") as caught:
        await answer(worker, bad.bundle_digest)
    assert caught.value.bundle_digest == bad.bundle_digest
    assert caught.value.retry_after_s is not None
    assert (await answer(worker, good.bundle_digest))[-1].finish_reason == "length"
    await eventually(lambda: len(source.asked) > asked)  # half open: tried without a request
    del source.failing[bad.bundle_digest]
    await eventually(lambda: bad.bundle_digest in worker.holdings.report()[0])
    assert (await answer(worker, bad.bundle_digest))[-1].finish_reason == "length"
    assert worker.holdings.report()[1] == {}


async def test_what_is_wrong_with_the_package_itself_is_refused_for_good(
    worker: EngineWorker, source: Source, world: World, tmp_path: Path
) -> None:
    unsigned = world.write_adapter(tmp_path, "unsigned", 77, signed=False)
    entry = entry_of(unsigned)
    source.files[entry.bundle_digest] = read_directory(unsigned).files
    await worker.holdings.sync(Catalogue("1", (entry,)))
    with pytest.raises(AdapterRejected) as caught:
        await answer(worker, entry.bundle_digest)
    assert caught.value.code != "adapter_unavailable"
    await worker.holdings.sync(Catalogue("2", (entry,)))
    assert source.asked == [entry.bundle_digest]


async def test_other_bytes_than_asked_for_are_asked_for_again(
    worker: EngineWorker, source: Source, directories: dict[str, Path]
) -> None:
    wanted, other = (entry_of(directories[name]) for name in directories)
    right = source.files[wanted.bundle_digest]
    source.files[wanted.bundle_digest] = source.files[other.bundle_digest]
    await worker.holdings.sync(Catalogue("1", (wanted,)))
    await eventually(lambda: wanted.bundle_digest in worker.holdings.report()[1])
    source.files[wanted.bundle_digest] = right
    await eventually(lambda: wanted.bundle_digest in worker.holdings.report()[0])


async def test_a_copy_that_cannot_be_read_any_more_is_fetched_again(
    worker: EngineWorker, source: Source, directories: dict[str, Path]
) -> None:
    entry = entry_of(directories["math_reasoning"])
    await worker.holdings.sync(Catalogue("1", (entry,)))
    before = await answer(worker, entry.bundle_digest)
    worker._engine.loader.cleanup_unused_adapters()
    for file in (worker.holdings._copies._dir / entry.bundle_digest).rglob("*.safetensors"):
        file.write_bytes(b"damaged")
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(AdapterUnavailable, match="cannot be read again"):
            await answer(worker, entry.bundle_digest)
    again = await answer(worker, entry.bundle_digest)
    assert [piece.token_id for piece in again] == [piece.token_id for piece in before]
    assert source.asked == [entry.bundle_digest] * 2


async def test_what_nobody_wants_any_more_is_not_tried_again(
    worker: EngineWorker, source: Source, directories: dict[str, Path]
) -> None:
    bad, good = (entry_of(directories[name]) for name in directories)
    source.failing[bad.bundle_digest] = OSError("gone")
    await worker.holdings.sync(Catalogue("1", (bad,)))
    await worker.holdings.sync(Catalogue("2", (good,)))
    assert worker.holdings._tasks.bundles() == []
    assert set(worker.holdings.report()[0]) == {good.bundle_digest}
    assert worker.holdings.report()[1] == {}


async def test_a_try_has_a_time_limit() -> None:
    tries = []

    async def never(entry: Entry) -> None:
        tries.append(entry)
        await asyncio.Event().wait()

    breakers = CircuitBreakers()
    tasks = PackageTasks(never, breakers, try_limit_s=0.01)
    tasks.start_loading(Entry("slow", "1", "package", "p"))
    await tasks.tried(["p"], 60)
    await eventually(lambda: breakers.is_open("p"))
    assert len(tries) == FAILURES_TO_OPEN
    with pytest.raises(AdapterUnavailable, match=r"no result within 0\.01 s"):
        await tasks.landed("p")
    tasks.stop_loading("p")


async def test_reads_of_a_directory_that_hangs_leave_room_for_everything_else(tmp_path: Path) -> None:
    """A FIFO that nobody writes to, as a network file system that went away: twenty hang, the process works on."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reads = []

    async def no_store(_package: str) -> Mapping[str, bytes]:
        raise OSError("no store")

    def read(_package: str) -> object:
        reads.append(threading.get_ident())
        return fifo.read_bytes()

    source = PackageSource(no_store, read)  # type: ignore[arg-type]
    fetches = [asyncio.create_task(source.fetch(f"package-{number}", "x")) for number in range(20)]
    again = asyncio.create_task(source.fetch("package-0", "x"))
    await eventually(lambda: len(reads) == 20)
    assert await asyncio.to_thread(lambda: "works") == "works"
    assert len(reads) == 20, "a read that hangs is not begun again"
    tasks = [*fetches, again]

    def end_reads() -> bool:
        with suppress(OSError):  # nobody reads at this moment
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return all(task.done() for task in tasks)

    await eventually(end_reads)
    await asyncio.gather(*tasks, return_exceptions=True)
