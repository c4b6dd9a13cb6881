"""Bytes that came otherwise than from a directory pass the same checks as a directory's."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, Limits, TrustPolicy, describe
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterRejected


def code_of(manager: AdapterManager, snapshot: Snapshot) -> str:
    with pytest.raises(AdapterRejected) as refused:
        manager.load_snapshot(snapshot)
    return refused.value.code


@pytest.fixture
def package(tmp_path: Path, base: BaseModel, make_weights) -> Snapshot:
    manager = AdapterManager(tmp_path / "adapters", base, TrustPolicy("off"))
    weights = make_weights(base)
    manager.save_adapter(describe(weights, base.info, "maths"), weights)
    return manager.snapshot("maths")


@pytest.mark.parametrize("name", ["extra.bin", "../layer_3.safetensors", "deeper/metadata.json", "adapter_config.json"])
def test_a_package_with_an_unknown_name_is_refused(package: Snapshot, base: BaseModel, name: str) -> None:
    manager = AdapterManager(None, base, TrustPolicy("off"))
    assert manager.load_snapshot(package).name == "maths"
    assert code_of(manager, Snapshot("maths", {**package.files, name: b"x"})) == "unexpected_file"


def test_a_package_over_a_limit_is_refused(package: Snapshot, base: BaseModel) -> None:
    largest = max(len(data) for name, data in package.files.items() if name.startswith("layer_"))
    small = AdapterManager(None, base, TrustPolicy("off"), limits=Limits(max_file_bytes=largest - 1))
    assert code_of(small, package) == "too_large"
    few = AdapterManager(None, base, TrustPolicy("off"), limits=Limits(max_files=len(package.files) - 1))
    assert code_of(few, package) == "too_large"


def test_a_signature_makes_no_package_of_a_peft_adapter(plain: Path, base: BaseModel, signer) -> None:
    """Nobody signs one by our means; bytes of a trusted key beside it must not count either."""
    peft = AdapterManager(None, base, TrustPolicy("off")).snapshot(plain)
    signed = Snapshot("plain", {**peft.files, "signature.json": sign_snapshot(peft, signer.private)})
    assert signer.trust.check(signed).signer == "release"
    manager = AdapterManager(None, base, signer.trust)
    assert code_of(manager, peft) == "signature_missing"
    assert code_of(manager, signed) == "unexpected_file"


def test_only_a_package_is_installed(plain: Path, base: BaseModel, tmp_path: Path) -> None:
    manager = AdapterManager(tmp_path / "installed", base, TrustPolicy("off"))
    with pytest.raises(AdapterRejected) as refused:
        manager.install(manager.snapshot(plain))
    assert refused.value.code == "missing_file"
