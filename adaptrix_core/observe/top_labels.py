"""Bounded metric labels: the most used names have a label of their own, the others share one.

A label stays until another name is used at least twice as often (hysteresis), so that series do not come and go. Counts
under ``other`` stay there: counters never decrease. Used from one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

OTHER = "other"

HALVED_EVERY = 10_000
"""Uses after which all counts are halved, so that names that fall out of use lose their labels."""
MUCH_MORE = 2
"""Uses that a newcomer needs to take the place of the least used label, as a multiple of that one's."""


class TopLabels:
    """At most ``limit`` names have labels of their own."""

    def __init__(self, limit: int, dropped: Callable[[str], None], reserved: Iterable[str] = ()) -> None:
        """dropped: called with each label that gives way. reserved: labels with another meaning; no name gets one."""
        self._limit = limit
        self._dropped = dropped
        self._reserved = frozenset({OTHER, *reserved})
        self._uses: Counter[str] = Counter()
        self._num_uses = 0
        self._kept: set[str] = set()

    def use(self, name: str) -> str:
        """Count one use of ``name``; its label."""
        if name in self._reserved:
            return OTHER
        self._uses[name] += 1
        self._num_uses += 1
        if self._num_uses % HALVED_EVERY == 0:
            self._uses = Counter({known: uses // 2 for known, uses in self._uses.items() if uses > 1})
        if self.label_of(name) == OTHER:
            self._displace_for(name)
        return self.label_of(name)

    def label_of(self, name: str) -> str:
        """The label of ``name``, which takes a free place where there is one."""
        if name in self._reserved:
            return OTHER
        if len(self._kept) < self._limit:
            self._kept.add(name)
        return name if name in self._kept else OTHER

    def _displace_for(self, name: str) -> None:
        weakest = min(self._kept, key=lambda kept: self._uses[kept])
        if self._uses[name] >= MUCH_MORE * max(self._uses[weakest], 1):
            self._kept.remove(weakest)
            self._dropped(weakest)
            self._kept.add(name)
