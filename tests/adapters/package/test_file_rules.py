"""Files are read within their limits, whatever a source has said of them before."""

from __future__ import annotations

import pytest

from adaptrix_core.adapters.package.file_rules import LEAVE, FileFacts, FileRule, read_by_rules
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.errors import AdapterRejected

CONTENT = b"x" * 10


def read(told: int | None, rule: FileRule, limits: Limits | None = None) -> dict[str, bytes]:
    """Ten bytes, read from a source that tells of another size."""

    def reader(_name: str, max_bytes: int) -> bytes:
        return CONTENT[:max_bytes]

    return read_by_rules("a", ["file"], lambda _: FileFacts("file", told), reader, lambda _: rule, limits or Limits())


@pytest.mark.parametrize("told", [3, 9, 11, None])
def test_a_file_longer_than_its_limit_is_refused_whatever_was_told(told: int | None) -> None:
    with pytest.raises(AdapterRejected) as refused:
        read(told, FileRule("whole", 9))
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("told", [3, 10, None])
def test_a_file_of_just_its_limit_is_read(told: int | None) -> None:
    assert read(told, FileRule("whole", 10)) == {"file": CONTENT}


def test_of_a_beginning_only_so_much_is_read_and_the_rest_of_the_room() -> None:
    assert read(10, FileRule("beginning", 4)) == {"file": b"xxxx"}
    assert read(10, FileRule("beginning", 100), Limits(max_total_bytes=6)) == {"file": b"xxxxxx"}


def test_what_is_left_is_neither_looked_at_nor_counted() -> None:
    def never(*_arguments: object) -> FileFacts:
        raise AssertionError("looked")

    assert read_by_rules("a", map(str, range(9)), never, never, lambda _: LEAVE, Limits(max_files=1)) == {}  # type: ignore[arg-type]


def test_what_cannot_be_read_is_raised_where_it_is_wanted_whole_only() -> None:
    def unreadable(_name: str, _max_bytes: int) -> bytes:
        raise OSError("gone")

    def run(use: FileRule) -> dict[str, bytes]:
        return read_by_rules("a", ["file"], lambda _: FileFacts("file", 1), unreadable, lambda _: use, Limits())

    assert run(FileRule("beginning", 9)) == {}
    with pytest.raises(OSError, match="gone"):
        run(FileRule("whole", 9))
