"""A bounded number of places, shared among tenants: whoever uses least is served next. Knows no batches."""

from __future__ import annotations

import asyncio
from collections import Counter


class Places:
    """The places. For one event loop."""

    def __init__(self, number: int) -> None:
        self._free = self._number = number
        self._used: Counter[str] = Counter()
        self._waiting: list[tuple[str, int, asyncio.Future[int]]] = []
        """Tenant, places wanted, and what is told once they are given; in the order of arrival."""

    async def take(self, tenant: str, wanted: int) -> int:
        """Wait for as many places, or for all that there are; how many were taken, which are given back together."""
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiter = (tenant, min(wanted, self._number), told)
        self._waiting.append(waiter)
        self._serve()
        try:
            return await told
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif told.done() and not told.cancelled():  # given in the same moment
                self.give_back(tenant, told.result())
            self._serve()
            raise

    def give_back(self, tenant: str, taken: int) -> None:
        """Give places back."""
        self._free += taken
        self._used[tenant] -= taken
        if not self._used[tenant]:
            del self._used[tenant]
        self._serve()

    def _serve(self) -> None:
        """Serve those that wait, in turn; one that wants more than is free holds up those behind it."""
        while self._waiting:
            waiter = min(self._waiting, key=lambda waiter: self._used[waiter[0]])
            tenant, wanted, told = waiter
            if wanted > self._free and not told.cancelled():
                return
            self._waiting.remove(waiter)
            if not told.cancelled():
                self._free -= wanted
                self._used[tenant] += wanted
                told.set_result(wanted)
