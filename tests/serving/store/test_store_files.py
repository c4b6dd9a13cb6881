"""The store's disk: what counts survives, what does not count leaves no trace."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy, export_peft
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard, revocations_directory
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, ConfigError
from deployments.shared.entry import LoadCall
from deployments.store.disk import StoreFiles
from tests.serving.tiny import World, load_base


@pytest.fixture(scope="module")
def package(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write_adapter(tmp_path_factory.mktemp("packages"), "extra", seed=11)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_shipped_adapters_are_listed_with_what_the_router_reads(world: World, state: Path) -> None:
    entries = StoreFiles(world.shipped, state).open()
    assert [entry.identity for entry in entries] == [
        "code_generation@1.0.0",
        "logical_reasoning@1.0.0",
        "math_reasoning@1.0.0",
    ]
    assert all(entry.shipped and entry.examples and entry.description for entry in entries)


def test_a_committed_load_is_there_after_a_restart(world: World, state: Path, package: Path) -> None:
    files = StoreFiles(world.shipped, state)
    files.open()
    committed = files.commit(files.stage(LoadCall("extra", str(package))))
    again = {entry.name: entry for entry in StoreFiles(world.shipped, state).open()}
    assert again["extra"].package_digest == committed.package_digest
    assert not again["extra"].shipped


def test_a_shipped_directory_loaded_under_another_name_outlives_a_restart(world: World, state: Path) -> None:
    files = StoreFiles(world.shipped, state)
    files.open()
    alias = files.commit(files.stage(LoadCall("sums", str(world.shipped / "math_reasoning"))))
    again = StoreFiles(world.shipped, state)
    entries = {entry.name: entry for entry in again.open()}
    assert entries["sums"].bundle_digest == entries["math_reasoning"].bundle_digest == alias.bundle_digest
    again.remove([entries["sums"]])
    assert again.read_package(alias.bundle_digest).files, "the shipped adapter lost its files with its other name"
    assert "math_reasoning" in {entry.name for entry in StoreFiles(world.shipped, state).open()}


def test_a_shipped_adapter_that_was_unloaded_can_be_loaded_again_for_good(world: World, state: Path) -> None:
    files = StoreFiles(world.shipped, state)
    (shipped,) = [entry for entry in files.open() if entry.name == "math_reasoning"]
    files.remove([shipped])
    files.commit(files.stage(LoadCall("math_reasoning", str(world.shipped / "math_reasoning"))))
    again = StoreFiles(world.shipped, state)
    (loaded,) = [entry for entry in again.open() if entry.name == "math_reasoning"]
    assert again.read_package(loaded.bundle_digest).package_digest == shipped.package_digest
    again.remove([loaded])
    assert "math_reasoning" not in {entry.name for entry in StoreFiles(world.shipped, state).open()}


def test_a_peft_directory_has_the_digest_that_revocation_knows(world: World, state: Path, tmp_path: Path) -> None:
    """Of a PEFT directory only two files count; a note beside them does not make it another package."""
    base = load_base(world.base_dir)
    directory = tmp_path / "peft"
    adapter = AdapterManager(world.shipped, base, TrustPolicy("off")).load_adapter("math_reasoning")
    export_peft(adapter.weights, base, directory)
    (directory / "README.md").write_text("notes")
    files = StoreFiles(world.shipped, state)
    files.open()
    entry = files.commit(files.stage(LoadCall("from-peft", str(directory))))
    revoked = sign_list(RevocationList(1, {entry.package_digest: ""}), world.private_key)
    RevocationBoard(tmp_path, world.keys).put_in_force(revoked)
    trust = TrustPolicy("off", world.keys, revocations_dir=revocations_directory(tmp_path))
    with pytest.raises(AdapterRejected) as caught:
        AdapterManager(world.shipped, base, trust).load_adapter(directory)
    assert caught.value.code == "adapter_revoked"


def test_a_load_that_was_cut_off_leaves_nothing(world: World, state: Path, package: Path) -> None:
    files = StoreFiles(world.shipped, state)
    files.open()
    staged = files.stage(LoadCall("extra", str(package)))
    assert (state / "packages" / staged.bundle_digest).is_dir()
    after = StoreFiles(world.shipped, state)
    assert "extra" not in {entry.name for entry in after.open()}
    assert list((state / "packages").iterdir()) == []
    with pytest.raises(AdapterNotFound):
        after.read_package(staged.bundle_digest)


def test_unloading_a_shipped_adapter_is_durable_and_keeps_its_files(world: World, state: Path) -> None:
    files = StoreFiles(world.shipped, state)
    (gone,) = [entry for entry in files.open() if entry.name == "math_reasoning"]
    files.remove([gone])
    assert (world.shipped / "math_reasoning" / "metadata.json").is_file()
    assert "math_reasoning" not in {entry.name for entry in StoreFiles(world.shipped, state).open()}


def test_a_package_that_changed_on_disk_is_not_handed_out(tmp_path: Path, world: World, state: Path) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(world.shipped, shipped)
    files = StoreFiles(shipped, state)
    entry = files.open()[0]
    (shipped / entry.name / "layer_1.safetensors").write_bytes(b"other")
    with pytest.raises(AdapterRejected, match="changed on disk"):
        files.read_package(entry.bundle_digest)


def test_a_directory_that_is_no_adapter_is_refused(world: World, state: Path, tmp_path: Path) -> None:
    files = StoreFiles(world.shipped, state)
    files.open()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("hello")
    with pytest.raises(AdapterRejected) as caught:
        files.stage(LoadCall("notes", str(tmp_path / "notes")))
    assert caught.value.code == "not_an_adapter"
    assert list((state / "packages").iterdir()) == []


def test_a_broken_index_is_reported_not_overwritten(world: World, state: Path) -> None:
    StoreFiles(world.shipped, state).open()
    index = state / "catalogue" / "index.json"
    index.write_text("{broken")
    with pytest.raises(ConfigError, match=r"index\.json"):
        StoreFiles(world.shipped, state).open()
    assert index.read_text() == "{broken"
