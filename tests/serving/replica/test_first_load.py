"""The first load of a bundle works on the bytes that came: no file is read back, and every byte is hashed once."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest

from adaptrix_core.adapters.package import snapshot as snapshots
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.config import load_settings
from adaptrix_core.errors import AdapterUnavailable
from adaptrix_core.observe.tracing import start_tracing
from deployments.replica.packages.source import Files, PackageSource
from deployments.replica.worker import EngineWorker
from deployments.shared.catalogue import Catalogue
from deployments.store.package_files import describe, read_directory
from tests.serving.tiny import World


async def test_a_bundle_is_read_and_hashed_once_and_verified_again_after_an_eviction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = read_directory(world.shipped / "math_reasoning")
    entry = describe(sent)
    hashed: Counter[bytes] = Counter()
    opened: list[str] = []
    open_directory = LocalDirectory._open

    def counted_sha256(data: bytes = b"") -> Any:
        hashed[data] += 1
        return hashlib.sha256(data)

    def counted_open(directory: LocalDirectory) -> int:
        opened.append(directory.location)
        return open_directory(directory)

    async def ask_store(_bundle: str) -> Files:
        return dict(sent.files)

    def ask_directory(_bundle: str) -> snapshots.Snapshot:
        raise AssertionError("the store has delivered")

    settings = load_settings(world.settings())
    worker = EngineWorker(
        settings, PackageSource(ask_store, ask_directory).fetch, start_tracing(settings.observe, "replica", "test")
    )
    try:
        worker.lease.confirm(None, worker.lease.now())
        monkeypatch.setattr(snapshots, "sha256", counted_sha256)
        monkeypatch.setattr(LocalDirectory, "_open", counted_open)
        await worker.holdings.sync(Catalogue("1", (entry,)))
        assert set(worker.holdings.report()[0]) == {entry.bundle_digest}
        assert [hashed[data] for data in sent.files.values()] == [1] * len(sent.files)
        assert opened == []

        adapter = worker.holdings._held[entry.bundle_digest]
        for damage in (None, b"damaged"):
            worker._engine.loader.cleanup_unused_adapters()
            if damage is not None:
                copy = worker.holdings._copies._dir / entry.bundle_digest / entry.name
                (copy / "layer_1.safetensors").write_bytes(damage)
                with pytest.raises(AdapterUnavailable, match="cannot be read again"):
                    await worker.holdings._pin(entry.bundle_digest)
            else:
                assert await worker.holdings._pin(entry.bundle_digest) is adapter
                worker._engine.loader.unpin(adapter.weights_digest)
                assert {hashed[data] for name, data in sent.files.items() if name != "signature.json"} == {2}
            assert opened
    finally:
        worker.stop()
