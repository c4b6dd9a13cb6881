"""`sign` and `verify`, end to end on real directories and keys."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard
from adaptrix_core.cli.main import cli
from adaptrix_core.places import default_trusted_keys, project_root

MakePackage = Callable[[str], Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "alice.key"


def test_a_new_key_signs_and_its_public_half_verifies(make_package: MakePackage, key: Path) -> None:
    package = make_package("spelling")
    signed = run("sign", package, "--key", key, "--new-key", "--json")
    assert signed.exit_code == 0, signed.stderr
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    verified = run("verify", package, "--trusted-keys", key.parent, "--json")
    assert verified.exit_code == 0, verified.output
    report = json.loads(verified.stdout)
    assert report["ok"] is True
    assert report["signer"] == "alice"
    assert report["package_digest"] == json.loads(signed.stdout)["package_digest"]


def test_signing_again_after_a_change_is_all_that_is_needed(make_package: MakePackage, key: Path) -> None:
    package = make_package("spelling")
    run("sign", package, "--key", key, "--new-key")
    (package / "README.md").write_text("changed")
    assert run("verify", package, "--trusted-keys", key.parent).exit_code == 1
    assert run("sign", package, "--key", key).exit_code == 0
    assert run("verify", package, "--trusted-keys", key.parent).exit_code == 0


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda d: (d / "layer_1.safetensors").write_bytes(b"x"), "tampered"),
        (lambda d: (d / "signature.json").unlink(), "signature_missing"),
        (lambda d: (d / "layer_1.safetensors").unlink(), "missing_file"),
        (lambda d: (d / "extra.py").write_text("import os"), "unexpected_file"),
    ],
)
def test_every_harm_is_named_and_exits_1(
    make_package: MakePackage, key: Path, harm: Callable[[Path], object], code: str
) -> None:
    package = make_package("spelling")
    run("sign", package, "--key", key, "--new-key")
    harm(package)
    verified = run("verify", package, "--trusted-keys", key.parent)
    assert verified.exit_code == 1
    assert f"[{code}]" in verified.stdout
    assert "would be refused" in verified.stdout


def test_a_signature_by_a_stranger_is_not_trusted(make_package: MakePackage, key: Path, tmp_path: Path) -> None:
    package = make_package("spelling")
    run("sign", package, "--key", key, "--new-key")
    strangers = tmp_path / "others"
    strangers.mkdir()
    verified = run("verify", package, "--trusted-keys", strangers, "--json")
    assert verified.exit_code == 1
    assert [fault["code"] for fault in json.loads(verified.stdout)["faults"]] == ["untrusted_key"]


def test_a_revoked_package_is_refused_by_its_digest(make_package: MakePackage, key: Path, tmp_path: Path) -> None:
    package = make_package("spelling")
    digest = json.loads(run("sign", package, "--key", key, "--new-key", "--json").stdout)["package_digest"]
    (tmp_path / "revoked.txt").write_text(f"{digest} leaked\n{'a' * 64}\n")
    config = tmp_path / "settings.yaml"
    config.write_text(
        f"adapters: {{dir: {package.parent}, trusted_keys_dir: {key.parent}, state_dir: {tmp_path}/state}}\n"
    )
    local = ("--local", "--config", config, "--key", key, "--json")
    assert run("verify", package, "--config", config).exit_code == 0

    revoked = run("revoke", "--file", tmp_path / "revoked.txt", "--reason", "stolen", *local)
    assert revoked.exit_code == 0, revoked.output
    assert json.loads(revoked.stdout)["packages"] == [digest, "a" * 64]
    verified = run("verify", package, "--config", config, "--json")
    assert verified.exit_code == 1
    faults = {fault["code"]: fault["message"] for fault in json.loads(verified.stdout)["faults"]}
    assert "(leaked)" in faults["adapter_revoked"]
    board = RevocationBoard(tmp_path / "state", key.parent)
    board.open()
    assert dict(board.list.revoked) == {digest: "leaked", "a" * 64: "stolen"}, "a server starts from it"

    assert json.loads(run("revoke", digest, "--undo", *local).stdout)["number"] == 2
    assert run("verify", package, "--config", config).exit_code == 0
    assert json.loads(run("revoke", "spelling", *local).stdout)["packages"] == [digest]
    assert run("verify", package, "--config", config).exit_code == 1


def test_a_file_with_a_fault_revokes_nothing(key: Path, tmp_path: Path) -> None:
    run("sign", "--key", key, "--new-key")
    (tmp_path / "revoked.txt").write_text(f"{'a' * 64}\nspelling\n")
    config = tmp_path / "settings.yaml"
    config.write_text(f"adapters: {{trusted_keys_dir: {key.parent}, state_dir: {tmp_path}/state}}\n")
    refused = run("revoke", "--file", tmp_path / "revoked.txt", "--local", "--config", config, "--key", key)
    assert refused.exit_code != 0
    assert "line 2 is 'spelling'" in refused.stderr
    assert not (tmp_path / "state").exists()


def test_the_setting_for_a_text_file_says_what_to_do_instead(make_package: MakePackage, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(f"adapters: {{revocation_file: {tmp_path}/revoked.txt}}\n")
    refused = run("verify", make_package("spelling"), "--config", config)
    assert refused.exit_code != 0
    assert "adaptrix revoke --local --config SETTINGS --file FILE" in " ".join(refused.stderr.split())


def test_a_key_is_never_overwritten(make_package: MakePackage, key: Path) -> None:
    package = make_package("spelling")
    run("sign", package, "--key", key, "--new-key")
    before = key.read_bytes()
    again = run("sign", package, "--key", key, "--new-key")
    assert again.exit_code == 1
    assert "never overwritten" in again.stderr
    assert key.read_bytes() == before


def test_signing_without_a_key_says_so(make_package: MakePackage, key: Path) -> None:
    done = run("sign", make_package("spelling"), "--key", key)
    assert done.exit_code == 1
    assert "no private key" in done.stderr


def test_a_key_pair_can_be_made_alone_and_says_where_its_public_half_goes(key: Path) -> None:
    made = run("sign", "--new-key", "--key", key)
    assert made.exit_code == 0, made.output
    assert key.is_file()
    said = made.stderr.replace("\n", " ")
    for place in (default_trusted_keys(), project_root() / "adapters" / "trusted_keys"):
        assert f"cp {key.with_suffix('.pub')} {place}/YOUR_NAME.pub" in said
    document = json.loads(run("sign", "--new-key", "--key", key.with_name("other.key"), "--json").stdout)
    assert document["public_key"] == str(key.with_name("other.pub"))
    assert str(default_trusted_keys()) in document["trusted_keys"].values()


def test_signing_nothing_is_wrong_usage() -> None:
    done = run("sign")
    assert done.exit_code == 2
    assert "name the DIRECTORY of an adapter, or make a key pair with --new-key" in done.output


def test_what_is_no_key_is_named(make_package: MakePackage, key: Path) -> None:
    key.parent.mkdir()
    for content in (b"nothing", rsa_key(), curve_key()):
        key.write_bytes(content)
        done = run("sign", make_package("spelling"), "--key", key)
        assert done.exit_code == 1
        assert "[bad_key]" in done.stderr
        assert "Traceback" not in done.stderr


def rsa_key() -> bytes:
    return pem(rsa.generate_private_key(65537, 2048))


def curve_key() -> bytes:
    """Of a curve that nobody signs models with."""
    return pem(ec.generate_private_key(ec.SECP256K1()))


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
