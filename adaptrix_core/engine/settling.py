"""Settles, between two steps, who answers the rows whose trunk is computed (scheduler state: they wait for their mix).

A row whose adapters begin above the cut goes on there: its keys, values and states below it are those that every mix
has. One whose adapters act below it is computed again from the start, under them. Engine thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.cache.prefix import PrefixCache
from adaptrix_core.engine.cache.question_means import question_means
from adaptrix_core.engine.deferred import Deferred, Settled
from adaptrix_core.engine.request import GenerationRequest, TokenEvent
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.scheduler import Scheduler
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Mix, MixSchedule, constant


class Settling:
    """The rows of one engine that wait for their mix."""

    def __init__(
        self,
        cache: KVCache,
        prefixes: PrefixCache,
        scheduler: Scheduler,
        take_up: Callable[[GenerationRequest, Mix], MixSchedule],
        fail: Callable[[Row, BaseException], TokenEvent],
    ) -> None:
        """take_up: pins a mix for a request and makes it its schedule. fail: ends a row with an error."""
        self._cache = cache
        self._prefixes = prefixes
        self._scheduler = scheduler
        self._take_up = take_up
        self._fail = fail
        self._left_open: set[str] = set()
        """Requests whose policy has left their mix open, among those that have ended or are settled by now."""

    @property
    def has_cut(self) -> bool:
        """Whether there is a trunk, so that something can be put off to its end."""
        return len(self._cache.spans) > 1

    def all_wait(self, requests: Mapping[str, Sequence[Row]]) -> bool:
        """Whether every one of these requests waits to be told its mix."""
        if not self._left_open:
            return False
        self._left_open &= requests.keys()
        return len(self._left_open) == len(requests) and all(
            any(row.waits_for_mix for row in rows) for rows in requests.values()
        )

    def settle_at_cut(self, requests: Mapping[str, Sequence[Row]]) -> list[TokenEvent]:
        """Ask the policies of the rows that have just come to the cut. A policy that fails ends its own request."""
        at_cut, self._scheduler.at_cut = self._scheduler.at_cut, []
        events = []
        for row in at_cut:
            if row.deferred is None or not row.waits_for_mix:  # preempted, or settled from outside, meanwhile
                continue
            request_id = row.request.request_id
            rows = [other for other in requests[request_id] if other.finish_reason is None]
            try:
                settled = row.deferred.policy(question_means(self._cache, row.tables[0], row.deferred.questions))
                if settled is None:
                    self._left_open.add(request_id)
                else:
                    self.settle(rows, settled)
            except Exception as error:  # of this request's policy or adapters; the others are not concerned
                events += [self._fail(other, error) for other in rows]
        return events

    def settle(self, rows: Iterable[Row], settled: Settled) -> None:
        """Compute the unsettled ones of a request's rows as ``settled`` from here on. Raises as `EngineCore.add`."""
        for row in rows:
            if row.deferred is None:
                continue
            schedule = self._take_up(row.request, settled.mix)
            row.deferred = None
            row.request = replace(row.request, deferred=None, params=settled.params or row.request.params)
            row.change_schedule(schedule, kept_blocks=0)
            if not any(row.tables):
                continue  # it waits in the queue, and holds nothing
            if self._prefixes.acting(row, 0):
                self._scheduler.reset(row)
                continue
            row.enters_branch = True
            self._prefixes.attach_branch(row)
            self._scheduler.release_adapters(row)


def settled_without_trunk(request: GenerationRequest, deferred: Deferred) -> GenerationRequest:
    """The request as its policy settles it where there is no cut. Raises InvalidRequest where that leaves it open."""
    settled = deferred.policy(None)
    if settled is None:
        raise InvalidRequest(
            "this engine has no cut, so its trunk tells nothing of a question; settle who answers before, or set a cut",
            param="deferred",
        )
    return replace(request, schedules=(constant(settled.mix),), deferred=None, params=settled.params or request.params)
