"""A package counts as shipped by its contents, byte for byte, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core import places
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.shipped import is_shipped

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
