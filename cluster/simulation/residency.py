"""A simulated replica's adapters: least recently used out first, pinned while in use, loaded one at a time.

Knows adapters and who waits for them; not what a request computes, nor the clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Residency(Generic[Waiter]):
    """At most ``slots`` adapters, resident or loading. What waiters are is the caller's business."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._unpinned: OrderedDict[int, None] = OrderedDict()
        self._pins: dict[int, int] = {}
        self._loading: dict[int, list[Waiter]] = {}
        self._blocked: deque[tuple[int, Waiter]] = deque()
        self.arrived: list[int] = []
        """Adapters that have begun to load since the caller last looked and cleared it."""
        self.evicted: list[int] = []
        """Adapters that have gone, likewise."""

    def holds(self, adapter: int) -> bool:
        """Whether a request for it can be computed now."""
        return adapter in self._pins or adapter in self._unpinned

    def want(self, adapter: int, waiter: Waiter) -> bool:
        """Pin ``adapter`` if it is resident and return True; otherwise keep ``waiter`` until it is."""
        if self.holds(adapter):
            self._unpinned.pop(adapter, None)
            self._pins[adapter] = self._pins.get(adapter, 0) + 1
            return True
        if adapter in self._loading:
            self._loading[adapter].append(waiter)
        elif self._blocked or not self._make_room():
            self._blocked.append((adapter, waiter))
        else:
            self._begin(adapter, waiter)
        return False

    def loaded(self, adapter: int) -> list[Waiter]:
        """A load has ended: its waiters, for each of whom the adapter is now pinned once."""
        waiters = self._loading.pop(adapter)
        self._pins[adapter] = len(waiters)
        return waiters

    def release(self, adapter: int) -> Iterator[Waiter]:
        """Take back one pin; yields waiters whose adapter turns out to be resident, each with a pin."""
        self._pins[adapter] -= 1
        if not self._pins[adapter]:
            del self._pins[adapter]
            self._unpinned[adapter] = None
        while self._blocked:
            adapter, waiter = self._blocked[0]
            if self.holds(adapter):
                self._blocked.popleft()
                self.want(adapter, waiter)
                yield waiter
            elif adapter in self._loading:
                self._blocked.popleft()
                self._loading[adapter].append(waiter)
            elif self._make_room():
                self._blocked.popleft()
                self._begin(adapter, waiter)
            else:
                return

    def _make_room(self) -> bool:
        """Free a slot if none is; False where all are pinned or loading."""
        if len(self._pins) + len(self._unpinned) + len(self._loading) < self._slots:
            return True
        if not self._unpinned:
            return False
        self.evicted.append(self._unpinned.popitem(last=False)[0])
        return True

    def _begin(self, adapter: int, waiter: Waiter) -> None:
        self._loading[adapter] = [waiter]
        self.arrived.append(adapter)
