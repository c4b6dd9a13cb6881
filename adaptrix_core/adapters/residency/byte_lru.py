"""A least-recently-used cache counted in bytes, whose entries can be pinned.

Knows sizes and order of use, not the meaning of its values. Not thread-safe: its owner holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from adaptrix_core.errors import CacheFull

K = TypeVar("K")
T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    value: T
    nbytes: int
    pins: int = 0


class ByteLRU(Generic[K, T]):
    """Entries by key, least recently used first. A pinned entry is never evicted."""

    def __init__(self, what: str, budget_bytes: int) -> None:
        """what: the cache's name in errors, e.g. "host memory"."""
        self.what = what
        self.budget_bytes = budget_bytes
        self._entries: OrderedDict[K, _Entry[T]] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        """Keys, least recently used first."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used_bytes(self) -> int:
        """Bytes of all entries."""
        return sum(entry.nbytes for entry in self._entries.values())

    @property
    def pinned_bytes(self) -> int:
        """Bytes of the entries that cannot be evicted now."""
        return sum(entry.nbytes for entry in self._entries.values() if entry.pins)

    @property
    def usage(self) -> dict[str, int]:
        """Bytes used, pinned and allowed."""
        return {"used_bytes": self.used_bytes, "pinned_bytes": self.pinned_bytes, "budget_bytes": self.budget_bytes}

    def get(self, key: K) -> T | None:
        """The value, which becomes the most recently used; None if it is not there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def nbytes_of(self, key: K) -> int:
        """Bytes of one entry. KeyError if it is not there."""
        return self._entries[key].nbytes

    def pins_of(self, key: K) -> int:
        """Pins on one entry, 0 if it is not there."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.pins

    def fits(self, nbytes: int) -> bool:
        """Whether ``nbytes`` more would fit if every unpinned entry were evicted."""
        return self.pinned_bytes + nbytes <= self.budget_bytes

    def make_room(self, nbytes: int) -> list[K]:
        """Evict, least recently used first, until ``nbytes`` more fit; returns the evicted keys.

        Raises CacheFull, evicting nothing, where the pinned entries leave too little.
        """
        if not self.fits(nbytes):
            raise CacheFull(
                f"{self.what} has a budget of {self.budget_bytes} bytes, {self.pinned_bytes} of them in use by running "
                f"requests; {nbytes} more do not fit. Raise the budget, or retry when requests have ended"
            )
        evicted: list[K] = []
        excess = self.used_bytes + nbytes - self.budget_bytes
        for key, entry in list(self._entries.items()):
            if excess <= 0:
                break
            if not entry.pins:
                excess -= entry.nbytes
                del self._entries[key]
                evicted.append(key)
        return evicted

    def put(self, key: K, value: T, nbytes: int) -> list[K]:
        """Add an entry as the most recently used; returns the keys evicted for it. Raises CacheFull, unchanged."""
        evicted = [] if key in self._entries else self.make_room(nbytes)
        if key not in self._entries:
            self._entries[key] = _Entry(value, nbytes)
        self._entries.move_to_end(key)
        return evicted

    def pin(self, key: K) -> None:
        """Keep an entry until as many `unpin` calls. KeyError if it is not there."""
        self._entries[key].pins += 1

    def unpin(self, key: K) -> int:
        """Take back one `pin`; returns how many are left. KeyError if it is not there, ValueError if it had none."""
        entry = self._entries[key]
        if entry.pins == 0:
            raise ValueError(f"{key} is not pinned")
        entry.pins -= 1
        return entry.pins

    def remove(self, key: K) -> T:
        """Take an entry out. KeyError if it is not there, ValueError if it is pinned."""
        if self._entries[key].pins:
            raise ValueError(f"{key} is pinned")
        return self._entries.pop(key).value
