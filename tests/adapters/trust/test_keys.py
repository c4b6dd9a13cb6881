"""Keys: private stays private, public is told apart, nothing is overwritten."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from adaptrix_core.adapters import TrustPolicy, default_private_key, default_trusted_keys, generate_key_pair
from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import check_private_key, read_public_key, read_trusted_keys
from adaptrix_core.adapters.trust.policy import TrustReport
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdaptrixError, ConfigError


def test_the_private_key_is_readable_by_its_owner_only(tmp_path):
    generate_key_pair(tmp_path / "keys" / "signing.key", tmp_path / "signing.pub")
    assert stat.S_IMODE((tmp_path / "keys" / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_an_existing_key_is_never_overwritten(tmp_path):
    generate_key_pair(tmp_path / "a.key", tmp_path / "a.pub")
    before = (tmp_path / "a.key").read_bytes()
    for private, public in (("a.key", "b.pub"), ("b.key", "a.pub")):
        with pytest.raises(AdaptrixError) as refused:
            generate_key_pair(tmp_path / private, tmp_path / public)
        assert refused.value.code == "key_exists"
    assert (tmp_path / "a.key").read_bytes() == before
    assert not (tmp_path / "b.key").exists()


def test_keys_live_in_the_config_directory_and_outside_the_repository(own_config_home):
    assert default_private_key().is_relative_to(own_config_home)
    assert default_trusted_keys().is_relative_to(own_config_home)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert not [name for name in tracked.stdout.splitlines() if name.endswith(".key")]


def test_the_default_key_is_where_earlier_releases_put_it(own_config_home):
    assert default_private_key() == own_config_home / "adaptrix" / "keys" / "signing.key"


def test_directories_for_keys_are_made_as_deep_as_they_are_named(tmp_path):
    private, public = tmp_path / "a" / "b" / "c.key", tmp_path / "d" / "e" / "c.pub"
    assert generate_key_pair(private, public) == read_public_key(public)
    assert check_private_key(private) == read_public_key(public).fingerprint
    with pytest.raises(AdaptrixError, match=r"b/c\.key"):
        generate_key_pair(private, tmp_path / "other.pub")


def private_pem(key, encryption):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


PLAIN = serialization.NoEncryption()
UNFIT = {
    "not a key": b"secret",
    "encrypted": private_pem(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"secret")),
    "of another kind": private_pem(ed25519.Ed25519PrivateKey.generate(), PLAIN),
    "of another curve": private_pem(ec.generate_private_key(ec.SECP256K1()), PLAIN),
}


def sign_something(key):
    return sign_snapshot(Snapshot("a", {"metadata.json": b"{}"}), key)


@pytest.mark.parametrize("what", UNFIT)
def test_a_key_that_cannot_sign_is_refused_before_anything_is_signed(tmp_path, what):
    (tmp_path / "unfit.key").write_bytes(UNFIT[what])
    for use in (check_private_key, sign_something):
        with pytest.raises(AdapterRejected, match=r"^unfit\.key: not an .*elliptic-curve private key") as refused:
            use(tmp_path / "unfit.key")
        assert refused.value.code == "bad_key"


def test_a_missing_private_key_is_named_with_the_command_that_makes_one(tmp_path):
    for use in (check_private_key, sign_something):
        with pytest.raises(AdapterNotFound, match=r"nowhere\.key.* `adaptrix sign --new-key`") as refused:
            use(tmp_path / "nowhere.key")
        assert refused.value.code == "key_not_found"


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_a_key_of_each_curve_that_is_named_signs(tmp_path, curve):
    key = ec.generate_private_key(curve())
    (tmp_path / "a.key").write_bytes(private_pem(key, PLAIN))
    (tmp_path / "a.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    signed = Snapshot("a", {"metadata.json": b"{}", SIGNATURE_FILE: sign_something(tmp_path / "a.key")})
    (trusted,) = read_trusted_keys(tmp_path)
    assert verify_snapshot(signed, [trusted]) == trusted
    assert check_private_key(tmp_path / "a.key") == trusted.fingerprint


def test_no_trusted_keys_directory_means_no_trusted_keys(tmp_path):
    assert read_trusted_keys(tmp_path / "nowhere") == ()


def test_a_key_of_another_kind_is_named(tmp_path):
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ed.pub").write_bytes(pem)
    with pytest.raises(ConfigError, match=r"ed\.pub"):
        read_trusted_keys(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a key", b"\xff\xfe"])
def test_a_broken_key_file_is_an_error_not_a_missing_key(tmp_path, content):
    (tmp_path / "broken.pub").write_bytes(content)
    with pytest.raises(ConfigError, match="broken"):
        read_trusted_keys(tmp_path)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="sometimes"):
        TrustPolicy("sometimes")  # type: ignore[arg-type]


def test_policy_off_does_not_look_at_keys_and_signatures(tmp_path):
    (tmp_path / "broken.pub").write_bytes(b"not a key")
    assert TrustPolicy("off", tmp_path).check(Snapshot("a", {"metadata.json": b"{}"})) == TrustReport(signer=None)
