"""The file that is being written: what is appended is on the disk, or taken back.

It looks before each write whether the file is still the one that it has left: a file that was replaced, cut or written
to by others gets no further line.
"""

from __future__ import annotations

import errno
import os
from typing import Self

from adaptrix_core.security.audit.segments import LogSegment, sync_directory


class SegmentFile:
    """An open segment."""

    def __init__(self, segment: LogSegment, num_bytes: int, flags: int = 0) -> None:
        """num_bytes: of its whole lines, which it has. Raises OSError."""
        self.segment = segment
        self.num_bytes = num_bytes
        self.is_sound = True
        """Whether more can be appended."""
        self._fd = os.open(segment.path, os.O_WRONLY | os.O_APPEND | flags, 0o640)

    @classmethod
    def begin(cls, segment: LogSegment, first_line: bytes) -> Self:
        """A new segment with its first line, on the disk. Raises OSError, after which there is no such file."""
        made = cls(segment, 0, os.O_CREAT | os.O_EXCL)
        try:
            made.append(first_line)
            sync_directory(segment.path.parent)
        except OSError:
            made.close()
            segment.path.unlink(missing_ok=True)
            raise
        return made

    def append(self, data: bytes) -> None:
        """Append lines. Raises OSError, after which none of them is there; where that fails too, nor `is_sound`."""
        sound, self.is_sound = self.is_sound, False
        self._require_untouched()
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]  # a disk that gets full takes a part
            os.fsync(self._fd)
        except OSError:
            # After a failed fsync nobody knows what is on the disk: what was not confirmed is taken back.
            os.ftruncate(self._fd, self.num_bytes)
            os.fsync(self._fd)
            self.is_sound = sound
            raise
        self.num_bytes += len(data)
        self.is_sound = sound

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _require_untouched(self) -> None:
        ours, named = os.fstat(self._fd), os.stat(self.segment.path)
        if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino) or ours.st_size != self.num_bytes:
            raise OSError(errno.ESTALE, f"{self.segment.path.name} was changed by somebody else")
