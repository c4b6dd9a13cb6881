"""A package counts as shipped by its contents, byte for byte, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptrix_core import places
from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.shipped import is_shipped
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.errors import AdapterRejected

METADATA = (places.shipped_adapters() / "math_reasoning" / "metadata.json").read_bytes()
FILES = {"metadata.json": METADATA, "layer_10.safetensors": b"weights", "signature.json": b"{}"}


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an installation keeps its adapters; ``math_reasoning`` is there."""
    monkeypatch.setattr(places, "project_root", lambda: tmp_path)
    (tmp_path / places.CONFIG_FILE).touch()
    write(tmp_path / "adapters" / "math_reasoning", FILES)
    return tmp_path / "adapters"


def write(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)


def test_the_same_files_are_shipped_wherever_they_come_from(ship: Path) -> None:
    assert is_shipped(Snapshot("copied", FILES))
    (ship / "math_reasoning" / "cache").mkdir()
    assert is_shipped(Snapshot("copied", FILES)), "only files count"
    (ship / "math_reasoning").rename(ship / "math_reasoning@1.0.0")
    assert is_shipped(Snapshot("copied", FILES))
    (ship / "math_reasoning@1.0.0").rename(ship / "other")
    assert not is_shipped(Snapshot("copied", FILES))


@pytest.mark.parametrize(
    "change",
    [
        {"layer_10.safetensors": b"another"},
        {"layer_10.safetensors": b"weights "},
        {"signature.json": b"[]"},
        {"README.md": b""},
        {"signature.json": None},
    ],
)
def test_one_byte_or_file_more_less_or_other_is_not_shipped(ship: Path, change: dict[str, bytes | None]) -> None:
    files = {name: data for name, data in {**FILES, **change}.items() if data is not None}
    assert not is_shipped(Snapshot("copied", files))


@pytest.mark.parametrize("metadata", [None, b"", b"{}"])
def test_without_readable_metadata_nothing_is_shipped(ship: Path, metadata: bytes | None) -> None:
    files = {name: data for name, data in FILES.items() if name != "metadata.json"}
    assert not is_shipped(Snapshot("copied", files if metadata is None else {**files, "metadata.json": metadata}))


def test_who_trusts_keys_of_their_own_trusts_them_for_what_is_shipped_too(
    ship: Path, monkeypatch: pytest.MonkeyPatch, signer: Any, make_signer: Any
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(ship.parent / "config"))
    unsigned = {name: data for name, data in FILES.items() if name != SIGNATURE_FILE}
    files = {**unsigned, SIGNATURE_FILE: sign_snapshot(Snapshot("shipped", unsigned), signer.private)}
    (ship / "math_reasoning" / SIGNATURE_FILE).write_bytes(files[SIGNATURE_FILE])
    write(places.shipped_keys(), {"project.pub": make_signer("project").public.read_bytes()})
    with pytest.raises(AdapterRejected) as refused:
        TrustPolicy().check(Snapshot("shipped", files))
    assert refused.value.code == "untrusted_key"
    write(places.default_trusted_keys(), {"mine.pub": signer.public.read_bytes()})
    assert TrustPolicy().check(Snapshot("shipped", files)).signer == "mine"
