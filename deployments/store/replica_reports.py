"""The live replicas' last reports, and waiting until all of them have reported something.

One event loop. Owns the condition that is notified of reports and of changes in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from adaptrix_core.errors import AdapterRejected, AdapterUnavailable
from deployments.shared.wire import Report, Signer

LIVE_S = 15.0
"""Seconds without a report after which a replica counts as gone; reports come about once a second."""
PAUSE_S = 1.0
"""Longest pause, in seconds, between two looks of a waiting call: that a replica has become silent notifies nobody."""


class Presence:
    """The last report of each replica."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, Report]] = {}
        self._changed = asyncio.Condition()

    async def note_report(self, report: Report) -> None:
        """Note a replica's report."""
        self._reports[report.replica_id] = (time.monotonic(), report)
        await self.wake()

    def live(self) -> list[Report]:
        """The last report of each live replica, by replica id."""
        oldest = time.monotonic() - LIVE_S
        self._reports = {key: (seen, report) for key, (seen, report) in self._reports.items() if seen >= oldest}
        return [report for _, (_, report) in sorted(self._reports.items())]

    async def wake(self) -> None:
        """Let every waiting call check its condition again."""
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``condition`` holds; False after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        async with self._changed:
            while not condition():
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                try:
                    async with asyncio.timeout(min(left, PAUSE_S)):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            return True

    async def settle(self, done: Callable[[Report], bool], timeout_s: float) -> tuple[list[Report], list[Report]]:
        """Wait until every live replica, at least one, is ``done``; (those that are, those that are not yet)."""

        def settled() -> bool:
            live = self.live()
            return bool(live) and all(map(done, live))

        await self.until(settled, timeout_s)
        live = self.live()
        return [report for report in live if done(report)], [report for report in live if not done(report)]


def agreed_signer(reports: Sequence[Report], revision: str) -> Signer | None:
    """Who has signed an offered entry, as all replicas say that accept it; None where the policy lets it pass unsigned.

    Raises AdapterRejected, AdapterUnavailable where one of them refuses it.
    """
    refusals = [(r, refusal) for r in reports if (refusal := r.verdicts[revision].refusal) is not None]
    if refusals:
        report, refusal = refusals[0]
        shown = f"{refusal.message} (refused by {len(refusals)} of {len(reports)} replicas, first {report.replica_id})"
        if refusal.code == AdapterUnavailable.code:
            raise AdapterUnavailable(shown)
        raise AdapterRejected(shown, code=refusal.code)
    return reports[0].verdicts[revision].signer
