"""The placement rule: which replica a request goes to. A pure decision over what is known of the replicas; knows no
Ray.

A replica that is warm for the request is taken unless it is busy: it has at least `SPILL` unfinished requests and
`BOUND` times the mean, while another one has fewer. Under backlog every replica has more than any fixed number, and a
fixed number alone would then send requests anywhere but to their adapter; `cluster/simulation` measured both.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import FIFOCache

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.digests import BundleDigest

SPILL = 8
"""Unfinished requests from which a warm replica may be passed over."""
BOUND = 1.25
"""The same as a multiple of the mean over all replicas; both must be reached."""
BRIDGE_S = 5.0
"""Seconds that a replica counts as having an adapter because a request for it was sent there: bridges the time until
its report says so itself."""
MAX_SENT = 8192
"""Most (adapter, replica) pairs that are remembered for that (LRU)."""

MAX_HOMES = 32_768
"""Most beginnings of prompts whose replica is remembered (LRU); a turn of a conversation adds about two."""

R = TypeVar("R", bound=Hashable)


@dataclass(frozen=True)
class Seen:
    """The state of one replica, as far as it is known here."""

    load: int = 0
    """Unfinished requests."""
    residency: Mapping[BundleDigest, Residency] = field(default_factory=dict)
    """Of each adapter that it has in memory: device or host."""


@dataclass(frozen=True)
class Wish:
    """Adapters and prompt beginnings that a request would profit from on a replica."""

    adapters: tuple[BundleDigest, ...] = ()
    prefixes: tuple[int, ...] = ()
    """Names of its prompt's beginnings, longest first (`prompt_prefixes.py`)."""
    candidates: tuple[BundleDigest, ...] = ()
    """Further adapters, of which it may turn out to need one."""


def busy_from(loads: Collection[int], spill: float = SPILL, bound: float = BOUND) -> float:
    """Unfinished requests from which a warm replica counts as busy."""
    return max(spill, bound * (sum(loads) + 1) / len(loads))


class Placement(Generic[R]):
    """Chooses replicas, and remembers in bounded memory which requests went where."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The least recently written is dropped: what is only looked up is not in use for that.
        self._sent: FIFOCache[tuple[BundleDigest, R], float] = FIFOCache(MAX_SENT)
        self._homes: FIFOCache[int, R] = FIFOCache(MAX_HOMES)

    def choose(self, wish: Wish, replicas: Mapping[R, Seen]) -> R:
        """The replica that has computed the longest known beginning of the prompt, unless it is busy.

        Else the warmest of ``replicas`` (at least one) that is not busy; of equally warm ones the least loaded.
        Ties go to the same replica each time for the same adapters, so that adapters that need one replica are not
        warm on several.
        """
        loads = [seen.load for seen in replicas.values()]
        limit, least = busy_from(loads), min(loads)
        home = self._home(wish, replicas)
        if home is not None and (replicas[home].load < limit or replicas[home].load == least):
            return home
        groups: dict[tuple[int, int], list[R]] = {}
        for replica, seen in replicas.items():
            groups.setdefault(self._missing(wish, replica, seen), []).append(replica)
        for missing in sorted(groups):
            best = min(replicas[replica].load for replica in groups[missing])
            if best < limit or best == least:
                return _one_of([replica for replica in groups[missing] if replicas[replica].load == best], wish)
        raise AssertionError("the least loaded replica is in some group")

    def sent(self, wish: Wish, replica: R) -> None:
        """Note that a request went to ``replica``."""
        now = self._clock()
        for adapter in wish.adapters:
            self._sent[adapter, replica] = now
        for name in wish.prefixes:
            self._homes[name] = replica

    def _home(self, wish: Wish, replicas: Mapping[R, Seen]) -> R | None:
        homes = (self._homes.get(name) for name in wish.prefixes)
        return next((home for home in homes if home is not None and home in replicas), None)

    def _missing(self, wish: Wish, replica: R, seen: Seen) -> tuple[int, int]:
        """(adapters that are not on the device, adapters that are not in host memory either)."""
        held = seen.residency
        away = [
            adapter
            for adapter in (*wish.adapters, *wish.candidates)
            if held.get(adapter) != "device" and not self._bridged(adapter, replica)
        ]
        return len(away), sum(adapter not in held for adapter in away)

    def _bridged(self, adapter: BundleDigest, replica: R) -> bool:
        sent = self._sent.get((adapter, replica))
        return sent is not None and self._clock() - sent < BRIDGE_S


def _one_of(replicas: list[R], wish: Wish) -> R:
    """Choose by rendezvous hashing (Thaler, Ravishankar 1996), so that processes agree; at random without adapters."""
    if len(replicas) == 1 or not wish.adapters:
        return random.choice(replicas)
    key = "+".join(sorted(wish.adapters))
    return max(replicas, key=lambda replica: hashlib.blake2b(f"{key}|{replica}".encode(), digest_size=8).digest())
