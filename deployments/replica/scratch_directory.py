"""A replica's own directory of unpacked packages: deleted with the replica, or by a later one if it was killed.

An advisory lock on a file inside shows that the owner lives; the system releases it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "adaptrix-replica-"
_LOCK = "lock"


class ScratchDirectory:
    """A new directory under ``parent`` (the system's temporary directory if None), readable by this user only."""

    def __init__(self, parent: Path | None = None) -> None:
        """Makes the directory, and deletes those whose owners ended without doing so."""
        parent = parent or Path(tempfile.gettempdir())
        sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Locked before it gets the name that `sweep` looks for, so that no other replica mistakes it for abandoned.
        unnamed = self.path / "lock.new"
        self._lock: int | None = os.open(unnamed, os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _LOCK)

    def delete(self) -> None:
        """Delete the directory and its contents (idempotent)."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path) -> list[Path]:
    """Delete the scratch directories under ``parent`` that no living process owns; returns them."""
    return [lock.parent for lock in parent.glob(f"{_PREFIX}*/{_LOCK}") if _deleted_if_abandoned(lock)]


def _deleted_if_abandoned(lock: Path) -> bool:
    try:
        held = os.open(lock, os.O_WRONLY)
    except OSError:  # another user's, or just deleted
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(lock.parent, ignore_errors=True)
        return True
    finally:
        os.close(held)
