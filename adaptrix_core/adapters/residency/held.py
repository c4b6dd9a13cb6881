"""Holds adapters on the device for a piece of work that is not a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import Overloaded


@contextmanager
def held(loader: DynamicLoader, weights_digests: Iterable[WeightsDigest]) -> Iterator[None]:
    """Inside, these loaded adapters are on the device, and stay there.

    Raises AdapterNotFound for one that is not loaded, CacheFull where they can never be on the device together,
    Overloaded where those of running requests leave no room now.
    """
    wanted = list(weights_digests)
    pinned: list[WeightsDigest] = []
    try:
        for digest in wanted:
            loader.pin(digest)
            pinned.append(digest)
        if not loader.acquire_slots(wanted):
            raise Overloaded(
                f"{len(wanted)} adapters have no room on the device beside those of running requests; try again later"
            )
        try:
            yield
        finally:
            loader.release_slots(wanted)
    finally:
        for digest in pinned:
            loader.unpin(digest)
