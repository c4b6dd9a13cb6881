"""The catalogue on disk: names, versions, paths, and what it refuses."""

from __future__ import annotations

import json
import logging

import pytest

from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe
from adaptrix_core.errors import AdapterExists, AdapterNotFound, AdapterRejected, BaseModelError, InvalidRequest


@pytest.fixture
def manager(tmp_path, base, signer) -> AdapterManager:
    return AdapterManager(tmp_path / "adapters", base, signer.trust)


@pytest.fixture
def save(manager, base, make_weights, signer):
    """``save(name, version="1.0.0", seed=0)`` -> weights, saved and signed under the manager's root."""

    def build(name: str, version: str = "1.0.0", seed: int = 0, **options: object):
        weights = make_weights(base, seed=seed)
        metadata = describe(weights, base.info, name, version=version)
        manager.save_adapter(metadata, weights, private_key=signer.private, **options)
        return weights

    return build


def test_a_saved_adapter_is_listed_loaded_and_signed(manager, save):
    weights = save("maths")
    assert [m.identity for m in manager.list_adapters()] == ["maths@1.0.0"]
    adapter = manager.load_adapter("maths")
    assert (adapter.identity, adapter.weights_digest, adapter.signer) == (
        "maths@1.0.0",
        weights.weights_digest,
        "release",
    )
    assert manager.get_adapter_metadata("maths").weights_digest == weights.weights_digest


def test_a_bare_name_is_the_highest_version_by_number(manager, save):
    first, tenth, ninth = save("maths", "1.0", 0), save("maths", "1.10", 1), save("maths", "1.9", 2)
    assert manager.load_adapter("maths").weights_digest == tenth.weights_digest
    assert manager.load_adapter("maths@1.0").weights_digest == first.weights_digest
    assert manager.load_adapter("maths@1.9").weights_digest == ninth.weights_digest


def test_an_existing_version_with_other_weights_is_kept_unless_overwritten(manager, save):
    old = save("maths", seed=0)
    with pytest.raises(AdapterExists):
        save("maths", seed=1)
    assert manager.load_adapter("maths").weights_digest == old.weights_digest
    new = save("maths", seed=1, overwrite=True)
    assert manager.load_adapter("maths").weights_digest == new.weights_digest
    assert len(manager.list_adapters()) == 1


def test_deleting_one_of_several_versions_needs_the_version(manager, save):
    save("maths", "1.0", 0)
    save("maths", "2.0", 1)
    with pytest.raises(InvalidRequest):
        manager.delete_adapter("maths")
    manager.delete_adapter("maths@2.0")
    assert [m.identity for m in manager.list_adapters()] == ["maths@1.0"]
    manager.delete_adapter("maths")
    assert manager.list_adapters() == []
    with pytest.raises(AdapterNotFound):
        manager.delete_adapter("maths")


def test_an_unknown_name_is_answered_with_near_ones(manager, save):
    save("math_reasoning")
    with pytest.raises(AdapterNotFound, match="math_reasoning"):
        manager.load_adapter("math_resoning")


@pytest.mark.parametrize("name", ["../maths", "..", "/etc", "a/../../b", "maths\\x"])
def test_a_path_is_never_taken_for_a_name(manager, save, name):
    save("maths")
    for action in (manager.get_adapter_metadata, manager.delete_adapter):
        with pytest.raises(AdapterRejected) as refused:
            action(name)
        assert refused.value.code == "path_escape"
    assert len(manager.list_adapters()) == 1


def test_a_path_outside_the_allowed_roots_is_refused_even_through_a_link(tmp_path, manager, save, base, signer):
    save("maths")
    outside = tmp_path / "outside"
    manager.path_of("maths").rename(outside)
    confined = AdapterManager(manager.root, base, signer.trust, allowed_roots=[tmp_path / "uploads"])
    (manager.root / "link").symlink_to(outside)
    for path in (outside, manager.root / "link", manager.root / ".." / "outside", f"{manager.root}/../outside"):
        with pytest.raises(AdapterRejected) as refused:
            confined.load_adapter(path)
        assert refused.value.code == "path_escape"
    outside.rename(tmp_path / "uploads")
    assert confined.load_adapter(tmp_path / "uploads").name == "maths"


def test_a_directory_whose_metadata_has_another_name_is_not_served_under_either(manager, save, caplog):
    save("maths")
    manager.path_of("maths").rename(manager.root / "logic")
    with caplog.at_level(logging.WARNING):
        assert manager.list_adapters() == []
    assert "logic" in caplog.text
    with pytest.raises(AdapterNotFound):
        manager.load_adapter("logic")


def test_one_broken_directory_does_not_hide_the_others(manager, save):
    save("maths")
    broken = manager.root / "broken"
    broken.mkdir()
    (broken / "metadata.json").write_text("{")
    assert [m.name for m in manager.list_adapters()] == ["maths"]


def test_install_copies_a_package_with_its_signature_and_only_if_it_would_load(manager, save, tmp_path, base, signer):
    save("maths")
    snapshot = manager.snapshot("maths")
    replica = AdapterManager(tmp_path / "replica", base, signer.trust)
    replica.install(snapshot)
    assert replica.load_adapter("maths").package_digest == manager.load_adapter("maths").package_digest
    stranger = AdapterManager(tmp_path / "stranger", base, TrustPolicy("require", tmp_path / "no-keys"))
    with pytest.raises(AdapterRejected):
        stranger.install(snapshot)
    assert not (tmp_path / "stranger").exists()


def test_without_a_base_adapters_can_be_listed_and_validated_but_not_loaded(manager, save, signer):
    save("maths")
    baseless = AdapterManager(manager.root, trust=signer.trust)
    assert [m.name for m in baseless.list_adapters()] == ["maths"]
    report = baseless.validate_adapter("maths")
    assert report.ok
    assert report.checked_against_base is None
    with pytest.raises(BaseModelError):
        baseless.load_adapter("maths")


def test_validation_reports_every_fault_not_only_the_first(manager, save):
    save("maths")
    path = manager.path_of("maths")
    assert manager.validate_adapter("maths").ok
    metadata = json.loads((path / "metadata.json").read_text())
    metadata["base"]["lineage"] = "somebody/else"
    (path / "metadata.json").write_text(json.dumps(metadata))
    layer = path / "layer_1.safetensors"
    layer.write_bytes(layer.read_bytes()[:-4])
    report = manager.validate_adapter("maths")
    assert [code for code, _ in report.faults] == ["tampered", "base_mismatch", "bad_safetensors"]
