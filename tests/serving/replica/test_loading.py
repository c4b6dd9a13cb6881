"""A replica goes on computing while it reads and verifies a package that takes long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.config import load_settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.injection.mix import Term
from adaptrix_core.observe.tracing import Tracing
from deployments.replica.worker import EngineWorker
from deployments.shared.wire import GenerateCall
from deployments.store.actor import AdapterStore
from tests.serving.tiny import World

STEPS = 25
DEADLINE_S = 60


class SlowFiles(Mapping[str, bytes]):
    """Files whose bytes come only when they are told to."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self.asked, self.answer = threading.Event(), threading.Event()

    def __getitem__(self, name: str) -> bytes:
        self.asked.set()
        assert self.answer.wait(DEADLINE_S)
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def call(request_id: str, package: str, max_tokens: int) -> GenerateCall:
    sampling = {"max_tokens": max_tokens, "temperature": 0.0, "ignore_eos": True}
    return GenerateCall(request_id, (5, 6, 7), ((Term(package),),), sampling, b"")


async def test_streams_go_on_while_a_package_is_verified(world: World, tmp_path: Path) -> None:
    settings = load_settings(world.settings(adapters={"state_dir": str(tmp_path / "state")}))
    store = AdapterStore(settings.adapters)
    catalogue = await store.watch(None)
    cold = catalogue.entries[0]
    slow = SlowFiles((await store.read_package(cold.bundle_digest)).files)

    async def fetch(bundle: BundleDigest, name: str) -> Snapshot:
        return Snapshot(name, slow if bundle == cold.bundle_digest else (await store.read_package(bundle)).files)

    worker = EngineWorker(settings, fetch, Tracing())
    try:
        worker.lease.confirm(None, worker.lease.now())
        await worker.holdings.sync(replace(catalogue, entries=catalogue.entries[1:]))
        stream = worker.generate(call("running", catalogue.entries[1].bundle_digest, 4000))
        await anext(stream)
        syncing = asyncio.create_task(worker.holdings.sync(catalogue))
        assert await asyncio.to_thread(slow.asked.wait, DEADLINE_S)
        for _ in range(STEPS):
            await asyncio.wait_for(anext(stream), DEADLINE_S)
        assert not syncing.done()
        assert cold.bundle_digest not in worker.holdings.report()[0]

        slow.answer.set()
        await syncing
        pieces = [piece async for batch in worker.generate(call("new", cold.bundle_digest, 5)) for piece in batch]
        assert [piece.finish_reason for piece in pieces] == [None] * 4 + ["length"]
        await stream.aclose()
    finally:
        slow.answer.set()
        worker.stop()
