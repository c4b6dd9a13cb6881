"""Contents of objects as files: written in parts beside their place, put there in one step, read in parts.

A file in place is never changed. Whatever no object names is a leftover of a crash, and is deleted at the next start.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Set
from pathlib import Path

from adaptrix_core.errors import StorageFailed
from deployments.objects.database import CONTENTS, STAGED

READ_BYTES = 1 << 20
"""Most bytes that are read at once."""


class ContentFiles:
    """The directory of contents. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._contents = directory / CONTENTS
        self._staged = directory / STAGED

    def recover(self, named: Set[str]) -> None:
        """Delete what was never finished, and contents that no object names."""
        for file in self._staged.iterdir():
            file.unlink()
        for file in self._contents.iterdir():
            if file.name not in named:
                file.unlink()

    def begin(self) -> str:
        """The name of new, empty contents. Raises OSError."""
        name = secrets.token_hex(16)
        (self._staged / name).touch(exist_ok=False)
        return name

    def append(self, name: str, data: bytes) -> None:
        """Add bytes to contents that are not finished. Raises OSError."""
        with open(self._staged / name, "ab") as file:
            file.write(data)

    def finish(self, name: str) -> None:
        """Put the contents in place, on the disk. Raises OSError."""
        with open(self._staged / name, "rb+") as file:
            os.fsync(file.fileno())
        os.rename(self._staged / name, self._contents / name)
        directory = os.open(self._contents, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def drop(self, name: str) -> None:
        """Delete contents, finished or not (idempotent)."""
        (self._staged / name).unlink(missing_ok=True)
        (self._contents / name).unlink(missing_ok=True)

    def read(self, name: str, size: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``, at most `READ_BYTES`. Raises StorageFailed where some are missing."""
        wanted = max(0, min(length, size - offset, READ_BYTES))
        try:
            with open(self._contents / name, "rb") as file:
                file.seek(offset)
                data = file.read(wanted)
        except FileNotFoundError:
            data = b""
        if len(data) < wanted:
            raise StorageFailed(
                f"the contents {name!r} of this object are damaged: bytes are missing; its operator has to look at "
                "adapters.state_dir, or delete the object"
            )
        return data
