"""Recognises git-lfs pointers: the stand-ins for large files that were not fetched.

(https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, "The Pointer".)
"""

from __future__ import annotations

from pathlib import Path

_FIRST_BYTES = b"version https://git-lfs.github.com/spec/"

ADVICE = "is a git-lfs pointer and not the file itself: run `git lfs pull` where it came from, or download it again"


def is_pointer(data: bytes) -> bool:
    """Whether ``data``, a file or its beginning, is a pointer."""
    return data.startswith(_FIRST_BYTES)


def is_pointer_file(path: Path) -> bool:
    """Whether the file at ``path`` is a pointer."""
    with path.open("rb") as file:
        return is_pointer(file.read(len(_FIRST_BYTES)))
