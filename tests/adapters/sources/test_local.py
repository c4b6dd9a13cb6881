"""A local directory that is exchanged while it is read, as `package/atomic.py` does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.adapters.package.atomic import write_directory
from adaptrix_core.adapters.package.contents import snapshot_package
from adaptrix_core.adapters.sources.local import LocalDirectory


def test_what_is_left_of_a_replaced_directory_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader holds the old directory open while the writer empties it."""
    old, new = {"metadata.json": b"old"}, {"metadata.json": b"new"}
    write_directory(tmp_path / "maths", old)
    list_directory, is_replaced = os.listdir, False

    def replacing(place: int | str | Path = ".") -> list[str]:
        nonlocal is_replaced
        if isinstance(place, int) and not is_replaced:
            is_replaced = True
            write_directory(tmp_path / "maths", new)
        return list_directory(place)

    monkeypatch.setattr(os, "listdir", replacing)
    assert dict(snapshot_package(LocalDirectory(tmp_path / "maths")).files) == new
    assert is_replaced


def test_a_file_that_becomes_a_link_just_before_it_is_read_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    write_directory(tmp_path / "maths", {"metadata.json": b"a file"})
    look = os.stat

    def replacing(path: int | str | Path, **how: Any) -> os.stat_result:
        info = look(path, **how)
        if path == "metadata.json" and not (tmp_path / "maths" / path).is_symlink():
            (tmp_path / "maths" / path).unlink()
            (tmp_path / "maths" / path).symlink_to(secret)
        return info

    monkeypatch.setattr(os, "stat", replacing)
    with pytest.raises(OSError, match="symbolic links"):
        snapshot_package(LocalDirectory(tmp_path / "maths"))
