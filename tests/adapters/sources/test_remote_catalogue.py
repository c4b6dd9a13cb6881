"""A catalogue behind a URL is read under the same rules as a local one, and is never written."""

from __future__ import annotations

from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from adaptrix_core.adapters import AdapterManager, describe
from adaptrix_core.adapters.package.contents import snapshot_adapter
from adaptrix_core.adapters.sources.opening import open_directory
from adaptrix_core.adapters.sources.url import UrlDirectory
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, InvalidRequest


@pytest.fixture
def url(tmp_path, base, make_weights, signer):
    """A signed adapter ``maths`` in an in-memory object store."""
    local = AdapterManager(tmp_path / "adapters", base, signer.trust)
    weights = make_weights(base)
    local.save_adapter(describe(weights, base.info, "maths"), weights, private_key=signer.private)
    store = fsspec.filesystem("memory")
    store.put(str(local.path_of("maths")), "/bucket/adapters/maths", recursive=True)
    yield "memory://bucket/adapters"
    store.rm("/bucket", recursive=True)


def test_adapters_behind_a_url_are_listed_verified_and_loaded(url, base, signer):
    manager = AdapterManager(url, base, signer.trust)
    assert [m.identity for m in manager.list_adapters()] == ["maths@1.0.0"]
    adapter = manager.load_adapter("maths")
    assert adapter.signer == "release"
    assert manager.load_adapter(f"{url}/maths").weights_digest == adapter.weights_digest
    assert manager.validate_adapter("maths").ok


def test_bytes_changed_in_the_store_are_refused(url, base, signer):
    store = fsspec.filesystem("memory")
    path = "/bucket/adapters/maths/layer_1.safetensors"
    store.pipe(path, store.cat(path)[:-1] + b"\x7f")
    with pytest.raises(AdapterRejected) as refused:
        AdapterManager(url, base, signer.trust).load_adapter("maths")
    assert refused.value.code == "tampered"


def test_a_file_or_directory_too_many_is_refused(url, base, signer):
    store = fsspec.filesystem("memory")
    for extra in ("adapter_model.bin", "nested/layer_3.safetensors"):
        store.pipe(f"/bucket/adapters/maths/{extra}", b"x")
        with pytest.raises(AdapterRejected) as refused:
            AdapterManager(url, base, signer.trust).load_adapter("maths")
        assert refused.value.code == "unexpected_file"
        store.rm(f"/bucket/adapters/maths/{extra.split('/')[0]}", recursive=True)


def test_a_remote_catalogue_is_never_written(url, base, make_weights, signer):
    manager = AdapterManager(url, base, signer.trust)
    weights = make_weights(base, seed=1)
    with pytest.raises(InvalidRequest):
        manager.save_adapter(describe(weights, base.info, "new"), weights)
    with pytest.raises(InvalidRequest):
        manager.delete_adapter("maths")
    assert [m.name for m in manager.list_adapters()] == ["maths"]


def test_a_url_is_outside_any_allowed_root(url, base, signer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a URL, taken for a relative path, would lie inside the root
    confined = AdapterManager(tmp_path, base, signer.trust, allowed_roots=[])
    with pytest.raises(AdapterRejected) as refused:
        confined.load_adapter(f"{url}/maths")
    assert refused.value.code == "path_escape"


@pytest.mark.parametrize("wrong", ["memory://nowhere/at/all", "nosuchprotocol://x/y"])
def test_a_url_that_leads_nowhere_is_not_found(wrong, base, signer):
    with pytest.raises(AdapterNotFound):
        AdapterManager(None, base, signer.trust).load_adapter(wrong)


def test_links_behind_a_url_are_not_followed(tmp_path, plain, base):
    """A server's own file system can be named by a URL too; there, others may write links."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"chat_template": "secret"}')
    (plain / "tokenizer_config.json").symlink_to(secret)
    directory = open_directory(f"file://{plain}")
    assert set(snapshot_adapter(directory).files) == {"adapter_config.json", "adapter_model.safetensors"}
    (plain / "adapter_config.json").unlink()
    (plain / "adapter_config.json").symlink_to(secret)
    with pytest.raises(AdapterRejected) as refused:
        snapshot_adapter(directory)
    assert refused.value.code == "symlink"


class Remembering(MemoryFileSystem):
    """As fsspec's file systems of object stores are: a listing is remembered until it is given up."""

    protocol = "remembering"
    find = AbstractFileSystem.find  # by listings, as most file systems do

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True)
        return self.dircache[path] if detail else [entry["name"] for entry in self.dircache[path]]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()


def test_stamps_and_snapshots_see_past_listings_that_the_file_system_remembers(url):
    readme, store = "/bucket/adapters/maths/README.md", fsspec.filesystem("memory")
    root = UrlDirectory(url, Remembering(), "/bucket/adapters")
    assert "README.md" not in root.stamps()["maths"]
    store.pipe(readme, b"new")
    assert "README.md" in root.stamps()["maths"]
    root.child("maths").file_names()
    store.rm(readme)
    assert "README.md" in root.child("maths").file_names(), "remembered"
    assert "README.md" not in snapshot_adapter(root.child("maths")).files
    store.pipe(readme, b"newer")
    assert "README.md" in snapshot_adapter(root.child("maths")).files
