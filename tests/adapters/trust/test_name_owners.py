"""Names belong to signers: the rule itself, and a catalogue on disk under it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe, package_digest, write_package
from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.adapters.trust.keys import read_public_key
from adaptrix_core.adapters.trust.name_owners import (
    TRANSFERS_FILE,
    NameOwners,
    Transfer,
    counting,
    read_transfers,
    record_transfer,
)
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard, revocations_directory
from adaptrix_core.errors import AdapterRejected, ConfigError, Conflict
from adaptrix_core.injection.injector import LayerInjector

KEYS = st.sampled_from(["a", "b", "c", None])


@given(owners=st.lists(st.sampled_from("abc"), unique=True), signers=st.lists(KEYS, max_size=8))
def test_only_owners_count_and_none_above_a_later_owner(owners, signers):
    counts = counting(owners, signers)
    assert len(counts) == len(signers)
    kept = [owners.index(signer) for signer, counted in zip(signers, counts, strict=True) if counted]
    assert kept == sorted(kept), "a later owner's versions stand above an earlier one's"
    for place, (signer, counted) in enumerate(zip(signers, counts, strict=True)):
        passed = [owners.index(s) for s, c in zip(signers[:place], counts[:place], strict=True) if c]
        assert counted == (signer in owners and all(owners.index(signer) >= rank for rank in passed))


def test_a_refusal_names_the_owner_of_the_name_and_the_version(tmp_path):
    owners = NameOwners.of("maths", ["a" * 64, None, "b" * 64], tmp_path)
    owners.require("a" * 64)
    owners.require_counting(0)
    belongs = f"the name 'maths' belongs to key {'a' * 12}, which did not sign"
    for signer in ("b" * 64, None):
        with pytest.raises(Conflict, match=f"{belongs} this;"):
            owners.require(signer)
    for place in (1, 2):
        with pytest.raises(Conflict, match=f"{belongs} its version {place + 1} of 3;"):
            owners.require_counting(place)


def test_a_name_handed_over_takes_no_other_name_with_it(tmp_path):
    handed = Transfer(name="maths", to="b" * 64, key="b", at="2026-11-29T00:00:00+00:00", by="tests")
    record_transfer(tmp_path, handed)
    record_transfer(tmp_path, handed.model_copy(update={"name": "logic", "to": "c" * 64}))
    assert NameOwners.of("maths", ["a" * 64], tmp_path).owners == ("a" * 64, "b" * 64)
    assert NameOwners.of("logic", ["a" * 64], tmp_path).owners == ("a" * 64, "c" * 64)
    assert NameOwners.of("prose", ["a" * 64], tmp_path).owners == ("a" * 64,)


def test_unsigned_versions_own_nothing_and_leave_the_name_to_the_first_signer(tmp_path):
    assert NameOwners.of("maths", [None, "a" * 64, "b" * 64], tmp_path) == NameOwners(
        "maths", ("a" * 64,), (False, True, False)
    )
    assert NameOwners.of("maths", [None, None], tmp_path).owners == ()


@pytest.fixture
def keys(signer, make_signer, tmp_path):
    partner = make_signer("partner")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    for key in (signer, partner):
        shutil.copy(key.public, trusted)
    return signer, partner, TrustPolicy("require", trusted)


def transfer(policy: TrustPolicy, name: str, key: Path) -> None:
    public = read_public_key(key)
    record = Transfer(name=name, to=public.fingerprint, key=public.name, at="2026-11-29T00:00:00+00:00", by="tests")
    record_transfer(policy.trusted_keys_dir, record)


@pytest.fixture
def catalogue(tmp_path, base, make_weights, keys):
    """``maths@1.0.0`` by the release key, ``maths@9.9.9`` by the partner's, and a writer of more."""
    release, partner, policy = keys

    def write(version: str, seed: int, private: Path | None, name: str = "maths") -> Path:
        weights = make_weights(base, seed=seed)
        directory = tmp_path / "adapters" / f"{name}@{version}"
        write_package(directory, describe(weights, base.info, name, version=version), weights, private_key=private)
        return directory

    write("1.0.0", 1, release.private)
    write("9.9.9", 2, partner.private)
    return AdapterManager(tmp_path / "adapters", base, policy), write


def test_a_bare_name_means_its_owners_newest_version(catalogue, keys, caplog):
    manager, write = catalogue
    release, partner, policy = keys
    assert manager.load_adapter("maths").version == "1.0.0"
    assert "9.9.9" not in manager.load_adapter("maths").identity
    assert "name" in caplog.text, "it is said why the newest one is passed over"
    write("2.0.0", 3, release.private)
    assert manager.load_adapter("maths").version == "2.0.0"
    transfer(policy, "maths", partner.public)
    assert manager.load_adapter("maths").version == "9.9.9"
    write("10.0.0", 4, release.private)
    assert manager.load_adapter("maths").version == "9.9.9", "the earlier owner takes nothing back"
    assert manager.load_adapter("maths@1.0.0").version == "1.0.0"


def test_a_revoked_or_broken_newest_version_gives_way(catalogue, keys, tmp_path):
    manager, write = catalogue
    release, _, policy = keys
    newest = write("3.0.0", 5, release.private)
    broken = write("4.0.0", 6, None)
    revoked = sign_list(RevocationList(1, {package_digest(newest): ""}), release.private)
    RevocationBoard(tmp_path / "state", policy.trusted_keys_dir).put_in_force(revoked)
    careful = AdapterManager(
        manager.root, manager.base, replace(policy, revocations_dir=revocations_directory(tmp_path / "state"))
    )
    assert careful.load_adapter("maths").version == "1.0.0"
    with pytest.raises(AdapterRejected, match="revoked"):
        careful.load_adapter("maths@3.0.0")
    assert broken.is_dir()
    shutil.rmtree(manager.root / "maths@1.0.0")
    shutil.rmtree(manager.root / "maths@9.9.9")
    with pytest.raises(AdapterRejected) as caught:
        careful.load_adapter("maths")
    assert caught.value.code == "signature_missing", "where none is good, the newest one's fault is told"


def test_a_name_is_not_written_to_by_another_signer(catalogue, keys, base, make_weights):
    manager, _ = catalogue
    release, partner, policy = keys
    weights = make_weights(base, seed=7)
    metadata = describe(weights, base.info, "maths", version="11.0.0")
    with pytest.raises(Conflict, match="belongs to key") as caught:
        manager.save_adapter(metadata, weights, private_key=partner.private)
    assert caught.value.code == "name_owned"
    manager.save_adapter(metadata, weights, private_key=release.private)
    transfer(policy, "maths", partner.public)
    later = describe(weights, base.info, "maths", version="12.0.0")
    with pytest.raises(Conflict):
        manager.save_adapter(later, weights, private_key=release.private)
    manager.save_adapter(later, weights, private_key=partner.private)


def test_the_only_version_may_be_replaced_by_anybody_and_without_signatures_nobody_owns(
    keys, base, make_weights, tmp_path
):
    release, partner, policy = keys
    manager = AdapterManager(tmp_path / "alone", base, policy)
    weights = make_weights(base, seed=9)
    metadata = describe(weights, base.info, "maths")
    manager.save_adapter(metadata, weights, private_key=release.private)
    manager.save_adapter(metadata, weights, private_key=partner.private, overwrite=True)
    assert manager.load_adapter("maths").signer == "partner"
    later = describe(weights, base.info, "maths", version="2.0.0")
    with pytest.raises(Conflict):
        manager.save_adapter(later, weights, private_key=release.private)
    off = AdapterManager(tmp_path / "alone", base, TrustPolicy("off", policy.trusted_keys_dir))
    off.save_adapter(later, weights, private_key=release.private)
    assert off.load_adapter("maths").version == "2.0.0"
    assert manager.load_adapter("maths").version == "1.0.0"


def test_what_is_loaded_by_path_takes_no_name_of_the_catalogue(catalogue, keys, base, make_weights, tmp_path):
    manager, _ = catalogue
    release, partner, _ = keys
    loader = DynamicLoader(manager, LayerInjector(base))
    weights = make_weights(base, seed=8)
    other = tmp_path / "elsewhere" / "other"
    write_package(other, describe(weights, base.info, "other"), weights, private_key=partner.private)
    theirs = tmp_path / "elsewhere" / "maths"
    write_package(theirs, describe(weights, base.info, "maths"), weights, private_key=partner.private)
    for source, alias, code in ((other, "maths", "name_taken"), (theirs, None, "name_owned")):
        with pytest.raises(Conflict) as caught:
            loader.load(source, alias)
        assert caught.value.code == code
    assert loader.load(other, "nick").name == "other"
    assert loader.load(theirs, "theirs").name == "maths"
    assert loader.load("maths").version == "1.0.0"
    ours = tmp_path / "ours" / "maths"
    write_package(ours, describe(weights, base.info, "maths", version="1.5.0"), weights, private_key=release.private)
    loader.unload("maths")
    assert loader.load(ours).version == "1.5.0"


def test_equal_weights_vouch_for_no_unsigned_copy(catalogue, base):
    manager, _ = catalogue
    loader = DynamicLoader(manager, LayerInjector(base))
    good = loader.load("maths")
    copy = manager.root.parent / "copy"
    shutil.copytree(manager.root / "maths@1.0.0", copy)
    (copy / "signature.json").unlink()
    with pytest.raises(AdapterRejected) as caught:
        loader.load(copy, "copied")
    assert caught.value.code == "signature_missing"
    assert loader.load("maths").weights_digest == good.weights_digest


def test_transfers_that_cannot_be_read_are_an_error_and_not_none(tmp_path):
    assert read_transfers(tmp_path) == ()
    (tmp_path / TRANSFERS_FILE).write_text('[{"name": "maths"}]')
    with pytest.raises(ConfigError, match=TRANSFERS_FILE):
        read_transfers(tmp_path)
