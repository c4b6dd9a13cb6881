"""We and OpenSSF's own command accept each other's signatures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy, describe, read_package, sign_package, write_package
from adaptrix_core.errors import AdapterRejected

pytestmark = pytest.mark.integration


def model_signing(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def cli_verify(directory: Path, public_key: Path) -> subprocess.CompletedProcess[str]:
    return model_signing(
        "verify", "key", directory, "--signature", directory / "signature.json", "--public_key", public_key
    )


@pytest.fixture
def package(tmp_path, base, make_weights) -> Path:
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    return tmp_path / "a"


def test_the_openssf_command_accepts_what_we_sign_and_notices_a_changed_byte(package, signer):
    sign_package(package, signer.private)
    accepted = cli_verify(package, signer.public)
    assert (accepted.returncode, "Verification succeeded" in accepted.stdout) == (0, True), accepted.stderr
    layer = package / "layer_1.safetensors"
    layer.write_bytes(layer.read_bytes()[:-1] + b"\x7f")
    assert cli_verify(package, signer.public).returncode == 1


def test_we_accept_what_the_openssf_command_signs(package, base, signer):
    signed = model_signing(
        "sign", "key", package, "--signature", package / "signature.json", "--private_key", signer.private
    )
    assert signed.returncode == 0, signed.stderr
    assert read_package(package, base.info, base.points, trust=signer.trust).signer == "release"


def test_files_that_the_openssf_command_was_told_to_ignore_are_not_accepted(package, base, signer):
    layer = package / "layer_1.safetensors"
    signature = package / "signature.json"
    signed = model_signing(
        "sign", "key", package, "--signature", signature, "--private_key", signer.private, "--ignore-paths", layer
    )
    assert signed.returncode == 0, signed.stderr
    with pytest.raises(AdapterRejected) as refused:
        read_package(package, base.info, base.points, trust=signer.trust)
    assert refused.value.code == "unexpected_file"


def test_each_of_several_trusted_keys_is_accepted_and_named(package, base, signer, make_signer, tmp_path):
    other = make_signer("partner")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    for key in (signer, other):
        shutil.copy(key.public, trusted)
    for key, name in ((signer, "release"), (other, "partner")):
        sign_package(package, key.private)
        assert read_package(package, base.info, base.points, trust=TrustPolicy("require", trusted)).signer == name
