"""The requests that run now, by the key that they came with, so that they end with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from adaptrix_core.errors import AdaptrixError


class Endable(Protocol):
    """What a request can be ended by: its deadline."""

    def end(self, error: AdaptrixError) -> None:
        """End the request now, by this error."""


class RunningRequests:
    """Those of one process. A request is forgotten when nobody holds what ends it any more."""

    def __init__(self) -> None:
        self._by_key: dict[str, WeakSet[Endable]] = {}

    def note(self, key_id: str, request: Endable) -> None:
        """A request with this key has begun."""
        self._by_key.setdefault(key_id, WeakSet()).add(request)

    def key_ids(self) -> Iterable[str]:
        """Of the keys with which requests may be running."""
        self._by_key = {key_id: running for key_id, running in self._by_key.items() if running}
        return tuple(self._by_key)

    def end(self, key_id: str, error: AdaptrixError) -> int:
        """End all requests of a key; how many there were."""
        running = tuple(self._by_key.pop(key_id, ()))
        for request in running:
            request.end(error)
        return len(running)
