"""Every source has the same properties: what it lists, what its stamps see, what it refuses, what it reads at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe, import_peft
from adaptrix_core.adapters.package import file_rules
from adaptrix_core.adapters.package.contents import snapshot_adapter, snapshot_package
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.sources import hub, local, url
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterNotFound, AdapterRejected
from deployments.store.shipped import ShippedAdapters
from tests.adapters.peft_directories import make_peft
from tests.adapters.sources.places import Place, files_of

PACKAGE = {"metadata.json": b"{}", "layer_1.safetensors": b"one", "layer_2.safetensors": b"two"}


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(AdapterRejected) as refused:
        call()
    return refused.value.code


def test_directories_and_files_are_listed(place: Place) -> None:
    assert place.open().directories() == []
    place.write("maths", PACKAGE)
    place.write("code", {"metadata.json": b"{}", "nested/file": b"x"})
    root = place.open()
    assert [directory.name for directory in root.directories()] == ["code", "maths"]
    assert sorted(root.child("maths").file_names()) == sorted(PACKAGE)
    assert list(root.child("code").file_names()) == ["metadata.json"]
    assert root.child("maths").read_file("metadata.json", 2) == b"{}"
    assert root.child("maths").location.endswith("/adapters/maths")


def test_what_is_not_there_is_not_found(place: Place) -> None:
    place.write("maths", PACKAGE)
    nothing = place.open("nothing")
    assert list(nothing.directories()) == []
    for read in (nothing.file_names, lambda: snapshot_adapter(nothing), lambda: nothing.read_file("x", 9)):
        with pytest.raises((AdapterNotFound, AdapterRejected)) as caught:
            read()
        assert caught.value.code in ("adapter_not_found", "missing_file")
    assert code_of(lambda: place.open("maths").read_file("layer_3.safetensors", 9)) == "missing_file"


def test_stamps_see_every_change_and_nothing_else(place: Place) -> None:
    place.write("maths", PACKAGE)
    place.write("code", PACKAGE)
    place.write(".staged-1", PACKAGE)
    before = place.open().stamps()
    assert set(before) == {"maths", "code"}
    assert set(before["maths"]) == set(PACKAGE)
    assert place.open().stamps() == before
    place.write("maths", {**PACKAGE, "layer_1.safetensors": b"ONE"})
    after = place.open().stamps()
    assert after["code"] == before["code"]
    assert after["maths"]["layer_1.safetensors"] != before["maths"]["layer_1.safetensors"]
    place.remove("code")
    assert set(place.open().stamps()) == {"maths"}


def test_a_snapshot_has_the_bytes_of_all_files(place: Place) -> None:
    place.write("maths", PACKAGE)
    snapshot = snapshot_adapter(place.open("maths"))
    assert dict(snapshot.files) == PACKAGE
    assert snapshot.origin == "maths"


SMALL = Limits(max_files=4, max_file_bytes=10, max_total_bytes=16, max_metadata_bytes=5)
HOSTILE: dict[str, tuple[str, dict[str, bytes]]] = {
    "an unknown name": ("unexpected_file", {"adapter_model.bin": b"x"}),
    "a directory called as a file": ("unexpected_file", {"layer_3.safetensors/x": b"x"}),
    "a long text": ("too_large", {"README.md": b"x" * 6}),
    "a long file": ("too_large", {"layer_3.safetensors": b"x" * 11}),
    "long together": ("too_large", {"layer_3.safetensors": b"x" * 9}),
    "many files": ("too_large", {"layer_3.safetensors": b"", "layer_4.safetensors": b""}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_names_and_sizes_are_refused(place: Place, what: str) -> None:
    code, files = HOSTILE[what]
    place.write("maths", PACKAGE)
    snapshot_package(place.open("maths"), SMALL)
    place.write("maths", {**PACKAGE, **files})
    assert code_of(lambda: snapshot_package(place.open("maths"), SMALL)) == code


def test_one_file_is_read_within_its_limit_only(place: Place) -> None:
    place.write("maths", PACKAGE)
    assert code_of(lambda: place.open("maths").read_file("layer_1.safetensors", 2)) == "too_large"


def after_the_first_file(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Have ``change`` happen each time the first file of a directory was read, before the next one is."""

    def reading(origin, names, look, read, rules, limits):
        reads = 0

        def counted(name: str, max_bytes: int) -> bytes:
            nonlocal reads
            data = read(name, max_bytes)
            reads += 1
            if reads == 1:
                change()
            return data

        return file_rules.read_by_rules(origin, names, look, counted, rules, limits)

    for module in (local, url, hub):
        monkeypatch.setattr(module, "read_by_rules", reading)


@pytest.mark.parametrize("others", [PACKAGE, {"metadata.json": b"{}", "layer_7.safetensors": b"seven"}])
def test_a_directory_replaced_in_mid_read_is_read_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch, others: dict[str, bytes]
) -> None:
    old, new = PACKAGE, dict.fromkeys(others, b"[]")
    place.write("maths", old)
    changes = iter([lambda: place.write("maths", new)])
    after_the_first_file(monkeypatch, lambda: next(changes, lambda: None)())
    assert dict(snapshot_package(place.open("maths")).files) in (old, new)
    assert dict(snapshot_package(place.open("maths")).files) == new


def test_a_directory_that_is_replaced_without_end_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("maths", PACKAGE)
    versions = iter(range(1000))
    after_the_first_file(monkeypatch, lambda: place.write("maths", {**PACKAGE, "README.md": b"%d" % next(versions)}))
    if place.location.startswith("hub:"):  # where each commit stays readable
        assert "README.md" not in snapshot_package(place.open("maths")).files
    else:
        assert code_of(lambda: snapshot_package(place.open("maths"))) == "unreadable"


def test_a_catalogue_is_listed_verified_and_loaded(place: Place, tmp_path: Path, base, make_weights, signer) -> None:
    ours = AdapterManager(tmp_path / "ours", base, signer.trust)
    weights = make_weights(base)
    ours.save_adapter(describe(weights, base.info, "maths"), weights, private_key=signer.private)
    files = files_of(tmp_path / "ours" / "maths")
    place.write("maths", files)
    manager = AdapterManager(place.location, base, signer.trust)
    assert [metadata.identity for metadata in manager.list_adapters()] == ["maths@1.0.0"]
    adapter = manager.load_adapter("maths")
    assert adapter.signer == "release"
    assert manager.load_adapter(f"{place.location}/maths").package_digest == adapter.package_digest
    place.write("maths", {**files, "layer_1.safetensors": files["layer_1.safetensors"][:-1] + b"\x7f"})
    assert code_of(lambda: manager.load_adapter("maths")) == "tampered"


# --- PEFT adapters as they stand --------------------------------------------------------------------------------------


@pytest.fixture
def peft(place: Place, base: BaseModel, tmp_path: Path) -> Path:
    """A PEFT directory as training leaves it, written to ``place`` as ``plain``."""
    made = tmp_path / "made"
    make_peft(base, made, target_modules=["q_proj"], layers_to_transform=[1, 2])
    (made / "optimizer.pt").write_bytes(b"x" * 100)
    (made / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}", "eos_token": "</s>"}')
    (made / "tokenizer.json").write_text('{"added_tokens": [{"content": "<new>"}], "model": {' + " " * 2_000_000)
    place.write("plain", files_of(made))
    return made


def test_a_peft_adapter_is_the_same_from_every_source(place: Place, peft: Path) -> None:
    snapshot = snapshot_adapter(place.open("plain"))
    assert snapshot.is_peft
    assert snapshot.package_digest == snapshot_adapter(local.LocalDirectory(peft)).package_digest
    assert set(snapshot.files) == {"adapter_config.json", "adapter_model.safetensors", "adapter_tokenizer.json"}
    assert b"<new>" in snapshot.files["adapter_tokenizer.json"]
    assert b"{{ messages }}" in snapshot.files["adapter_tokenizer.json"]


def test_a_peft_adapter_is_loaded_where_signatures_are_not_required(place: Place, peft: Path, base: BaseModel) -> None:
    weights = import_peft(peft, base, "x")[1].weights_digest
    manager = AdapterManager(place.location, base, TrustPolicy("off"))
    for source in ("plain", f"{place.location}/plain"):
        adapter = manager.load_adapter(source)
        assert (adapter.name, adapter.weights_digest) == ("plain", weights)
    assert manager.load_snapshot(manager.snapshot("plain")).weights_digest == weights
    assert manager.list_adapters() == []


def test_a_peft_adapter_is_never_loaded_where_signatures_are_required(
    place: Place, peft: Path, base: BaseModel, signer
) -> None:
    manager = AdapterManager(place.location, base, signer.trust)
    for source in ("plain", f"{place.location}/plain"):
        with pytest.raises(AdapterRejected) as refused:
            manager.load_adapter(source)
        assert refused.value.code == "signature_missing"
        assert f"adaptrix import {place.location}/plain --sign" in refused.value.message
    assert manager.validate_adapter("plain").faults[0][0] == "not_an_adapter"


def test_a_peft_adapter_replaced_in_mid_read_is_read_whole(
    place: Place, peft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files_of(peft)
    new = {**old, "adapter_config.json": b"{}", "adapter_model.safetensors": b"other"}
    changes = iter([lambda: place.write("plain", new)])
    after_the_first_file(monkeypatch, lambda: next(changes, lambda: None)())
    files = snapshot_adapter(place.open("plain")).files
    both = [
        {name: state[name] for name in ("adapter_config.json", "adapter_model.safetensors")} for state in (old, new)
    ]
    assert {name: files[name] for name in both[0]} in both


def test_the_store_ships_adapters_of_both_kinds(
    place: Place, peft: Path, world_files: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    place.write("maths", world_files)
    place.write("keys", {"release.pub": b"key"})
    shipped = ShippedAdapters(place.location)
    shipped.open()
    assert [entry.name for entry in shipped.entries()] == ["maths", "plain"]
    assert "shipped adapter keys" not in caplog.text, "it is none, and no error"
    place.write("maths", {**world_files, "README.md": b"changed"})
    assert not shipped.look(), "it may still be written"
    assert shipped.look()
    for entry in shipped.entries():
        snapshot = shipped.read_package(entry.bundle_digest)
        assert snapshot is not None
        assert snapshot.bundle_digest == entry.bundle_digest


@pytest.fixture
def world_files(tmp_path: Path, base, make_weights) -> dict[str, bytes]:
    manager = AdapterManager(tmp_path / "ours", base, TrustPolicy("off"))
    weights = make_weights(base)
    manager.save_adapter(describe(weights, base.info, "maths"), weights)
    return files_of(tmp_path / "ours" / "maths")
