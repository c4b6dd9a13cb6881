"""Shipped adapters in an S3 bucket: a real server and the real driver, found, verified, served and followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import AdapterNotFound
from deployments.store.disk import StoreFiles
from deployments.store.shipped import ShippedAdapters, read_shared
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import ask
from tests.serving.inprocess import running
from tests.serving.tiny import World

moto_server = pytest.importorskip("moto.server", reason="needs the s3 extra")
s3fs = pytest.importorskip("s3fs", reason="needs the s3 extra")

BUCKET = "adapters"


@pytest.fixture
def bucket(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """A bucket with the shipped adapters, reached as a user would: by URL and environment alone."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "tests"),
        ("AWS_SECRET_ACCESS_KEY", "tests"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        filesystem = s3fs.S3FileSystem(skip_instance_cache=True)
        filesystem.mkdir(BUCKET)
        for directory in world.shipped.iterdir():
            filesystem.put(str(directory), f"{BUCKET}/shipped/{directory.name}", recursive=True)
        yield filesystem
    finally:
        filesystem.rm(BUCKET, recursive=True)  # servers of one process share what they store
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


URL = f"s3://{BUCKET}/shipped"


def test_packages_in_a_bucket_have_the_digests_of_the_same_files_on_disk(
    bucket: s3fs.S3FileSystem, world: World, tmp_path: Path
) -> None:
    remote = {entry.identity: entry for entry in StoreFiles(URL, tmp_path / "remote").open()}
    local = {entry.identity: entry for entry in StoreFiles(world.shipped, tmp_path / "local").open()}
    assert {name: entry.bundle_digest for name, entry in remote.items()} == {
        n: e.bundle_digest for n, e in local.items()
    }
    bundle = remote["math_reasoning@1.0.0"].bundle_digest
    assert read_shared(URL, tmp_path / "none", bundle).bundle_digest == bundle
    with pytest.raises(AdapterNotFound):
        read_shared(URL, tmp_path / "none", "0" * 64)


def test_files_that_are_written_under_way_count_once_they_rest(
    bucket: s3fs.S3FileSystem, world: World, tmp_path: Path
) -> None:
    shipped = ShippedAdapters(URL)
    shipped.open()
    assert not shipped.look()
    directory = world.write_adapter(tmp_path, "late", 91)
    files = sorted(path.name for path in directory.iterdir())
    for name in files:
        bucket.put(str(directory / name), f"{BUCKET}/shipped/late/{name}")
        assert not shipped.look()
    assert shipped.look()
    assert "late@1.0.0" in {entry.identity for entry in shipped.entries()}
    bucket.pipe(f"{BUCKET}/shipped/late/metadata.json", b"{broken")
    assert not shipped.look()
    assert shipped.look(), "an adapter that cannot be read any more is still offered"
    assert "late@1.0.0" not in {entry.identity for entry in shipped.entries()}


async def test_a_server_serves_from_a_bucket(bucket: s3fs.S3FileSystem, world: World, tmp_path: Path) -> None:
    adapters = {"dir": URL, "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    args = world.settings(adapters=adapters, router={"enabled": False})
    assert load_settings(args).adapters.dir == URL
    async with running(args) as (http, _):
        assert (await ask(http, "math_reasoning")).status_code == 200
        bucket.pipe(f"{BUCKET}/shipped/math_reasoning/layer_1.safetensors", b"poison")

        async def refused() -> bool:
            return (await ask(http, "math_reasoning")).status_code == 422

        await eventually(refused)
        assert (await ask(http, "math_reasoning@latest")).json()["error"]["code"] == "tampered"
        assert (await ask(http, "code_generation")).status_code == 200
