"""A file is replaced whole or not at all, by any number of writers at once, and nothing is left beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptrix_core.replaced_file import replaced_file


def test_writers_at_once_leave_one_of_their_files_whole(tmp_path: Path) -> None:
    path, contents = tmp_path / "made" / "labels.json", [bytes([number]) * 4096 for number in range(16)]

    def write(content: bytes) -> None:
        for _ in range(20):
            with replaced_file(path) as file:
                file.write(content)
            assert path.read_bytes() in contents

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert [one.name for one in path.parent.iterdir()] == ["labels.json"]


def test_a_writer_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(b"before")

    def write() -> None:
        with replaced_file(path) as file:
            file.write(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write()
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["labels.json"]
