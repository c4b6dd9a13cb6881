"""Checks before a long run that a directory can be written to and has room.

By trying: a file is made and removed again, because permissions alone say little about read-only and full disks.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MIB = 1024 * 1024


def why_not_writable(directory: Path, needed_bytes: int = MIB) -> str | None:
    """Why ``needed_bytes`` cannot be written below ``directory``, which need not be there yet; None where they can."""
    parent = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    if not parent.is_dir():
        return f"{parent} is a file, not a directory; name another place"
    try:
        with tempfile.NamedTemporaryFile(dir=parent, prefix=".adaptrix-check-") as probe:
            probe.write(b"x")
            probe.flush()
        free = shutil.disk_usage(parent).free
    except OSError as error:
        return f"{parent} cannot be written to ({error.strerror or error}); mend that, or name another place"
    if free < needed_bytes:
        return (
            f"{parent} has {free / MIB:.0f} MiB free, {max(1, round(needed_bytes / MIB))} MiB are needed; make room, "
            "or name another place"
        )
    return None
