"""A discrete-event simulation of many replicas behind one router: the same workload under each routing policy.

A heap of events in order of time: steps and loads that end. Requests come from a workload. What a replica does is
`replica_model.py`, who gets a request is `policies.py`; this module has the clock.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Set
from typing import Literal

from cluster.simulation.engine_model import EngineModel
from cluster.simulation.policies import Policy
from cluster.simulation.replica_model import ReplicaModel
from loadtest.records import Record
from loadtest.workload import Arrival

_Event = tuple[float, int, Literal["step", "load"], int, int]
"""Time, order of announcement, what ends, replica, and the step's version or the adapter."""

_NOBODY: frozenset[int] = frozenset()


class Simulation:
    """One run. It is the `Cluster` that policies look at."""

    def __init__(self, engine: EngineModel, num_replicas: int, policy: Policy) -> None:
        self._replicas = [ReplicaModel(engine) for _ in range(num_replicas)]
        self._policy = policy
        self._holders: dict[int, set[int]] = defaultdict(set)
        self._events: list[_Event] = []
        self._number = 0
        self.loads = [0] * num_replicas
        """Unfinished requests by replica."""

    def holders(self, adapter: int) -> Set[int]:
        """Replicas that hold the adapter or are loading it."""
        return self._holders.get(adapter, _NOBODY)

    def run(self, arrivals: Iterable[Arrival]) -> list[Record]:
        """Serve ``arrivals``, which come in order of time, to the end; their records in the same order."""
        records = []
        for arrival in arrivals:
            self._advance(arrival.at_s)
            records.append(self._arrive(arrival))
        self._advance(float("inf"))
        return records

    def _advance(self, until_s: float) -> None:
        """Everything that ends by ``until_s``."""
        while self._events and self._events[0][0] <= until_s:
            now, _, kind, index, detail = heapq.heappop(self._events)
            replica = self._replicas[index]
            if kind == "load":
                replica.loaded(detail)
            elif detail == replica.version:
                self.loads[index] -= len(replica.step_ended(now))
            else:
                continue
            self._follow_up(index, now)

    def _arrive(self, arrival: Arrival) -> Record:
        record = Record(arrival.index, arrival.adapter, arrival.at_s, arrival.prompt_tokens, 0)
        index = self._policy.choose(arrival.adapter, self)
        self.loads[index] += 1
        self._replicas[index].arrive(record, arrival.output_tokens)
        self._follow_up(index, arrival.at_s)
        return record

    def _follow_up(self, index: int, now: float) -> None:
        """Announce what a replica has begun, and note whose adapters have come and gone."""
        replica = self._replicas[index]
        if replica.adapters.evicted:
            for adapter in replica.adapters.evicted:
                self._holders[adapter].discard(index)
            replica.adapters.evicted.clear()
        if replica.adapters.arrived:
            for adapter in replica.adapters.arrived:
                self._holders[adapter].add(index)
                self._announce(replica.load_end_s(now), "load", index, adapter)
            replica.adapters.arrived.clear()
        ends_s = replica.plan(now)
        if ends_s is not None:
            self._announce(ends_s, "step", index, replica.version)

    def _announce(self, at_s: float, kind: Literal["step", "load"], index: int, detail: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, kind, index, detail))


def simulate(engine: EngineModel, num_replicas: int, policy: Policy, arrivals: Iterable[Arrival]) -> list[Record]:
    """Records of ``arrivals`` served by ``num_replicas`` replicas under ``policy``."""
    return Simulation(engine, num_replicas, policy).run(arrivals)
