"""A text file of revoked packages is read as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.adapters.trust.revocation_text import read_revocations
from adaptrix_core.errors import InvalidRequest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "revoked.txt"


def test_a_line_is_a_digest_a_reason_and_a_comment(file: Path) -> None:
    lines = [f"{'a' * 64}", f"{'b' * 64}  leaks # 2026 # by us", f"#{'c' * 64} # no more", f"  {'d' * 64}\t# stolen"]
    file.write_text("\n".join(lines))
    assert read_revocations(file) == {"a" * 64: "", "b" * 64: "leaks", "d" * 64: ""}


def test_nothing_is_revoked_by_a_file_with_a_fault(file: Path) -> None:
    file.write_text(f"# fine\n{'a' * 64}\nnot-a-digest\n{'b' * 63}\n")
    with pytest.raises(InvalidRequest, match="line 3 is 'not-a-digest', line 4 is 'bbb"):
        read_revocations(file)


@pytest.mark.parametrize(("faults", "told"), [(5, "line 5 is 'x{80}'; a line"), (6, "line 5 is 'x{80}', …; a line")])
def test_the_first_faults_are_shown_in_short(file: Path, faults: int, told: str) -> None:
    file.write_text(f"{'x' * 90}\n" * faults)
    with pytest.raises(InvalidRequest, match=told):
        read_revocations(file)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe"], ids=["empty", "comments", "no-text"])
def test_a_file_that_names_no_package_is_a_mistake(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"revoked\.txt"):
        read_revocations(file)


def test_a_file_that_is_not_there_is_a_mistake(file: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"revoked\.txt"):
        read_revocations(file)
