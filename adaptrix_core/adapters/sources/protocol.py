"""What a source of adapters must be able to do: open a location, list and read the directories there.

A source gives bytes and is not trusted: names, sizes, signatures and contents are checked by those who read, for every
source alike. `Path`-like, without writing. The built-in ones are `local.py`, `url.py` and `hub.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from adaptrix_core.adapters.package.file_rules import FileRules
    from adaptrix_core.adapters.package.limits import Limits
    from adaptrix_core.adapters.package.snapshot import Snapshot


class AdapterDirectory(Protocol):
    """A directory of a source: one adapter's, or one that holds a directory for each adapter. Any thread may use it.

    Every method may take as long as a file system or a network does. `stamps` and `snapshot` see the present state;
    other listings may come from a cache.
    """

    @property
    def name(self) -> str:
        """Last part of the location: the directory's name in messages, and the name of a PEFT adapter in it."""

    @property
    def location(self) -> str:
        """The location as users write it."""

    def child(self, name: str) -> AdapterDirectory:
        """The directory ``name`` in this one, whether or not there is one."""

    def directories(self) -> Sequence[AdapterDirectory]:
        """The directories in this one, by name; none where this one does not exist. AdapterRejected: unreadable."""

    def file_names(self) -> Collection[str]:
        """Names of all that lies in here and is no directory.

        Raises AdapterNotFound where there is no such directory, or AdapterRejected: symlink, unreadable.
        """

    def stamps(self) -> Mapping[str, Mapping[str, Hashable]]:
        """For each directory in here, its files: by name a value that changes when the file does. Raises OSError.

        Directories whose names begin with a dot are left out: they hold what is being written.
        """

    def read_file(self, name: str, max_bytes: int) -> bytes:
        """One file.

        Raises AdapterNotFound, or AdapterRejected: missing_file, symlink, unexpected_file, too_large, unreadable.
        """

    def snapshot(self, rules: FileRules, limits: Limits) -> Snapshot:
        """The files that ``rules`` want, all of one moment, read by `package/file_rules.py`'s `read_by_rules`.

        Raises AdapterNotFound, or AdapterRejected: symlink, unexpected_file, too_large, and unreadable where files are
        replaced again and again meanwhile.
        """


class AdapterSource(Protocol):
    """Opens locations of one kind."""

    def open(self, location: str) -> AdapterDirectory:
        """The directory at ``location``, whether or not there is one.

        Raises AdapterNotFound for a location that cannot lead anywhere.
        """
