"""Replaces a file in one step, whoever else replaces it at the same time: what is read is one of them, whole.

For state and caches of which the last one written may be lost with the machine's power: nothing is flushed to the disk.
Signed packages, which may not, are `adapters/package/atomic.py`'s.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of ``path`` when the context ends, and is gone where that raises.

    The directory is made if it is not there. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
