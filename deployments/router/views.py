"""The router of each view of the catalogue: what a tenant does not see is never scored for it, nor told to it.

Tenants that see the public adapters alone share one router, which is fitted when the catalogue changes. Another view
gets one of its own when its tenant first asks, and that is fitted again when the tenant next asks after a change, which
costs nothing where the change was none to it. Nobody waits for a fit: until then the router before it decides, at first
the public one. Knows tenants by the salts of their cache keys, as calls do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cachetools import LRUCache

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from deployments.callers.principal import tenant_salt
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry
from deployments.shared.residency import ClusterResidency

if TYPE_CHECKING:
    from adaptrix_core.routing.catalogue import RouteCard
    from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds
    from adaptrix_core.routing.semantic import SemanticRouter

logger = logging.getLogger(__name__)

MOST_VIEWS = 256
"""Most views whose routers are kept, beside the public one: those that were asked for last."""

Cards = Callable[[Sequence[Entry]], "tuple[RouteCard, ...]"]


@dataclass
class ViewRouter:
    """The router of one view."""

    router: SemanticRouter
    thresholds: AdaptiveThresholds
    """Of the tenants that have this view."""
    entries: Sequence[Entry] = ()
    """What it decides among."""

    def residency(self, known: ClusterResidency) -> dict[str, Residency]:
        """By name, where its adapters are; empty before the store's first answer: no adapter is preferred then."""
        if not known.warmest:
            return {}
        return {entry.public_name: known.warmest.get(entry.bundle_digest, "disk") for entry in self.entries}

    def require_public(self, right: str | None) -> None:
        """Raise InvalidRequest for a tenant's own adapter: what is learnt with its text is for all tenants."""
        if any(entry.public_name == right and entry.tenant for entry in self.entries):
            raise InvalidRequest(
                f"right is {right!r}, which is for some tenants alone, and learn teaches the router of all; leave "
                "learn out, or name a public adapter",
                param="learn",
            )


@dataclass
class _OwnRouter:
    """What there is of a router for one tenant's own view."""

    ready: ViewRouter | None = None
    fitted_to: int = 0
    """Number of the change that it was fitted after."""
    fitting: asyncio.Task[None] | None = None


class RouterViews:
    """The routers of all views. One event loop."""

    def __init__(
        self, make: Callable[[], SemanticRouter], public_cards: Cards, own_cards: Cards, state_dir: Path
    ) -> None:
        """make: a router without cards. public_cards, own_cards: the cards of public adapters, with all that operators
        have set and taught, and of tenants' own, of which they know nothing. state_dir: where labels are kept.
        """
        from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds

        self._make = make
        self._public_cards = public_cards
        self._own_cards = own_cards
        self._catalogue = Catalogue("")
        self._tenants: Mapping[bytes, str] = {}
        self._change = 0
        self._fitting = asyncio.Lock()
        public = make()
        self._public = ViewRouter(public, AdaptiveThresholds(public, state_dir))
        self._others: LRUCache[bytes, _OwnRouter] = LRUCache(MOST_VIEWS)

    async def follow(self, catalogue: Catalogue) -> None:
        """Decide among these; returns once the public ones are fitted. Raises as `fit`."""
        self._catalogue = catalogue
        self._tenants = {tenant_salt(tenant): tenant for tenant in catalogue.tenants}
        await self.fit()

    async def fit(self) -> None:
        """Fit the public router to what its cards say now, the others when next asked. Raises InvalidRequest."""
        self._change += 1
        async with self._fitting:
            self._public.entries = self._catalogue.public.newest()
            await asyncio.to_thread(self._public.router.update, self._cards(self._public.entries))

    def of(self, salt: bytes) -> ViewRouter:
        """The router of the tenant with this salt: its own as it was fitted last, or the public one before that."""
        tenant = self._tenants.get(salt)
        if tenant is None:
            return self._public
        own = self._others.setdefault(salt, _OwnRouter())
        if own.fitted_to != self._change and (own.fitting is None or own.fitting.done()):
            own.fitting = asyncio.create_task(self._fit_own(own, self._catalogue.seen_by(tenant).newest()))
        return own.ready or self._public

    async def _fit_own(self, own: _OwnRouter, entries: Sequence[Entry]) -> None:
        own.fitted_to = self._change
        try:
            router = await asyncio.to_thread(self._make) if own.ready is None else own.ready.router
            await asyncio.to_thread(router.update, self._cards(entries))
        except AdaptrixError as error:
            logger.warning("a tenant's router decides as before: %s", error.message)
        else:
            own.ready = ViewRouter(router, self._public.thresholds.of_router(router), entries)

    def _cards(self, entries: Sequence[Entry]) -> tuple[RouteCard, ...]:
        public = self._public_cards([entry for entry in entries if not entry.tenant])
        return (*public, *self._own_cards([entry for entry in entries if entry.tenant]))
