"""The keeper of objects as a deployment of a real Ray Serve: reached by a handle, and back after it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray
from ray import serve

from adaptrix_core.config import load_settings
from deployments.background.deployment import Background
from deployments.ingress.handles import HandleObjects
from deployments.objects.records import ObjectKey
from deployments.shared.errors import NotReady, ObjectNotFound
from tests.serving.conftest import eventually
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KEY = ObjectKey("ours", "file", "a")


@pytest.fixture
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    serve.shutdown()
    ray.shutdown()


@pytest.fixture
async def objects(cluster: None, world: World, tmp_path: Path) -> HandleObjects:
    settings = load_settings(world.settings(adapters={"state_dir": str(tmp_path / "state")}))
    application = serve.deployment(Background).options(ray_actor_options={"num_cpus": 0}).bind(settings)
    handle = await asyncio.to_thread(serve.run, application, name="objects", route_prefix=None)
    return HandleObjects(handle)


async def test_objects_are_kept_beyond_the_death_of_their_keeper(objects: HandleObjects) -> None:
    upload = await objects.begin_upload("ours")
    await objects.add_to_upload(upload, b"contents")
    await objects.finish_upload(upload, KEY, b"{}")
    with pytest.raises(ObjectNotFound):
        await objects.get_object(ObjectKey("theirs", "file", "a"))
    here = psutil.Process().children(recursive=True)
    (keeper,) = [process.pid for process in here if "ServeReplica:objects" in process.name()]
    os.kill(keeper, signal.SIGKILL)

    async def is_back() -> bool:
        try:
            return await objects.read_contents(KEY, 0, 100) == b"contents"
        except NotReady:
            return False

    await eventually(is_back)
    with pytest.raises(NotReady, match="send it again"):
        await objects.add_to_upload(upload, b"more")
