"""Which replica gets a request: the policies that are compared.

Each is told what a router can know: the adapter asked for, how many unfinished requests every replica has, and who
holds or is loading the adapter. That is known at once here; a real router learns it some tens of milliseconds late.
Knows no time.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Set
from typing import Protocol

from deployments.placement.rule import BOUND, SPILL, busy_from

MASK = (1 << 64) - 1


class Cluster(Protocol):
    """What a router sees."""

    loads: list[int]
    """Unfinished requests by replica."""

    def holders(self, adapter: int) -> Set[int]:
        """Replicas that hold the adapter or are loading it."""


class Policy(Protocol):
    """Chooses a replica for one request."""

    def choose(self, adapter: int, cluster: Cluster) -> int:
        """The index of the replica that gets a request for ``adapter``."""


class RoundRobin:
    """Each replica in turn."""

    def __init__(self, seed: int) -> None:
        self._next = seed

    def choose(self, adapter: int, cluster: Cluster) -> int:
        """The next replica, whatever is asked for."""
        self._next += 1
        return self._next % len(cluster.loads)


class PowerOfTwo:
    """The less loaded of two replicas drawn at random (Mitzenmacher 2001): Ray Serve's default."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, adapter: int, cluster: Cluster) -> int:
        """The less loaded of the two, whatever is asked for."""
        count = len(cluster.loads)
        if count == 1:
            return 0
        first = int(self._random.random() * count)
        second = (first + 1 + int(self._random.random() * (count - 1))) % count
        return first if cluster.loads[first] <= cluster.loads[second] else second


class ConsistentHash:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

    An adapter belongs to the first replica clockwise of its point on the ring; one that has reached ``bound`` times
    the mean load passes the request on to the next.
    """

    def __init__(self, seed: int, bound: float = 1.25, points_per_replica: int = 64) -> None:
        self._seed = seed
        self._bound = bound
        self._points_per_replica = points_per_replica
        self._ring: list[tuple[int, int]] = []

    def choose(self, adapter: int, cluster: Cluster) -> int:
        """The first replica from the adapter's point on that is below the bound; one always is."""
        count = len(cluster.loads)
        if len(self._ring) != count * self._points_per_replica:
            places = ((r, p) for r in range(count) for p in range(self._points_per_replica))
            self._ring = sorted((_mixed(self._seed, 1 + r * self._points_per_replica + p), r) for r, p in places)
        limit = math.ceil(self._bound * (sum(cluster.loads) + 1) / count)
        position = bisect.bisect(self._ring, (_mixed(self._seed, -1 - adapter), count))
        while cluster.loads[replica := self._ring[position % len(self._ring)][1]] >= limit:
            position += 1
        return replica


class Affinity:
    """A replica that holds the adapter, the least loaded of them; a less loaded other one where all of them are busy.

    A holder is busy from ``spill`` unfinished requests on, and from ``bound`` times the mean load, as in the server's
    own rule (`deployments/placement/rule.py`, whose function and numbers these are).
    """

    def __init__(self, seed: int, spill: int = SPILL, bound: float = BOUND) -> None:
        """A ``bound`` of 0 leaves ``spill`` alone."""
        self._random = random.Random(seed)
        self._spill = spill
        self._bound = bound

    def choose(self, adapter: int, cluster: Cluster) -> int:
        """The least loaded holder while it is not busy or nobody has less to do; else the least loaded of all."""
        loads = cluster.loads
        least = min(loads)
        holders = cluster.holders(adapter)
        if holders:
            warm = min(holders, key=lambda replica: (loads[replica], replica))
            if loads[warm] < busy_from(loads, self._spill, self._bound) or loads[warm] == least:
                return warm
        return self._random.choice([replica for replica, load in enumerate(loads) if load == least])


POLICIES: dict[str, Callable[[int], Policy]] = {
    "affinity": Affinity,
    "affinity, fixed spill": lambda seed: Affinity(seed, bound=0.0),
    "consistent hashing": ConsistentHash,
    "power of two": PowerOfTwo,
    "round robin": RoundRobin,
}
"""By name: from a seed to a policy."""


def _mixed(seed: int, value: int) -> int:
    """A 64-bit hash: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = ((seed + 1) * 0x9E3779B97F4A7C15 + value * 0xD1342543DE82EF95) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)
