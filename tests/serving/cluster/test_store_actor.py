"""The store as an actor of a real Ray: a hundred that ask for one package cost one read, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.config import load_settings
from deployments.placement import known_replicas
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import Holding, Report
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.handle import open_store
from deployments.store.residency_follower import ResidencyFollower
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ASKERS = 100


@pytest.fixture
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, namespace="tests", log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


async def test_a_hundred_that_ask_at_once_cost_one_disk_read(cluster: None, world: World, tmp_path: Path) -> None:
    settings = load_settings(world.settings(adapters={"state_dir": str(tmp_path / "state")}))
    store = await open_store(settings.adapters, "tests")
    bundle = (await store.watch.remote(None)).entries[0].bundle_digest
    answers = await asyncio.gather(*(store.fetch.remote(bundle) for _ in range(ASKERS)))
    references = {reference for (reference,) in answers}
    (kept,) = await store.fetch.remote(bundle)
    assert references == {kept}  # a second read would have put the files in the object store again
    files = await references.pop()
    assert {array.dtype.name for array in files.values()} == {"uint8"}
    assert Snapshot("", {name: array.tobytes() for name, array in files.items()}).bundle_digest == bundle


async def test_what_a_replica_reports_reaches_placement_through_the_store(
    cluster: None, world: World, tmp_path: Path
) -> None:
    settings = load_settings(world.settings(adapters={"state_dir": str(tmp_path / "state")}))
    catalogue = StoreFollower(settings.adapters, "tests")
    await catalogue.start()
    residency = ResidencyFollower(catalogue.residency, known_replicas.told)
    try:
        held = {"warm": Holding("w", None, "device"), "cold": Holding("c", None, "disk")}
        await catalogue.store.report.remote(Report("replica", "base", 100, "", held))
        await residency.refresh()
        assert known_replicas.residency_on("replica") == {"warm": "device"}
        assert known_replicas.residency_on("another") == {}
    finally:
        catalogue.stop()
        known_replicas.told(ClusterResidency())
