"""Settles who answers a deferred call: the router's opinion so far, and what the trunk makes of the question.

The probes are fitted here, where the base model is, whenever the catalogue changes: the texts of new adapters are read
through the trunk behind every request, once for each base model (`routing/trunk/cached_means.py`). Until all probes are
there, and for a prompt whose turns cannot be found, the router's opinion decides alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from adaptrix_core.base.question_tokens import TokenRange, question_ranges
from adaptrix_core.engine import EngineLoop, GenerationRequest, SamplingParams
from adaptrix_core.engine.deferred import Deferred, Means, Settled
from adaptrix_core.errors import AdapterNotFound, AdaptrixError
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.cached_means import CachedMeans
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from adaptrix_core.routing.trunk.reading import trunk_means_beside
from adaptrix_core.routing.trunk.settlement import settled
from adaptrix_core.sampling import SamplingDefaults
from deployments.replica.packages.holdings import Holdings, Pinned
from deployments.replica.prompt_encoding import QUICK_CHARACTERS, num_characters
from deployments.shared.catalogue import Catalogue
from deployments.shared.wire import BundleMix, GenerateCall

logger = logging.getLogger(__name__)

BASE: BundleMix = ()
"""The base model alone."""


class AtTheCut:
    """The probes of one replica. One event loop; policies are called on the engine's thread."""

    def __init__(self, loop: EngineLoop, enabled: bool) -> None:
        """enabled: whether the trunk has a vote at all (setting ``router.trunk``)."""
        self._loop = loop
        self._enabled = enabled and loop.engine.options.cut is not None and loop.engine.base.tokenizer is not None
        self._kept = CachedMeans(loop.engine)
        self._known: dict[tuple[str, ...], Vectors] = {}
        """Means by text lists, of the background and of the catalogue's cards."""
        self._fitted: FittedTrunk | None = None
        self._fitting: asyncio.Task[None] | None = None
        self._cards: list[RouteCard] = []
        """The catalogue that is fitted last."""

    def follow(self, catalogue: Catalogue) -> None:
        """Fit the probes of this catalogue in the background; decisions go by the old ones until then."""
        if not self._enabled:
            return
        all_cards = [RouteCard(entry.public_name, entry.description, entry.examples) for entry in catalogue.newest()]
        cards = [card for card in all_cards if card.texts]
        if self._fitting is not None:
            if cards == self._cards:
                return
            self._fitting.cancel()
        self._cards = cards
        self._fitting = asyncio.create_task(self._fit(cards))

    async def fitted(self) -> tuple[str, ...]:
        """The adapters that have a probe, once the last catalogue's are fitted."""
        while self._fitting is not None and not self._fitting.done():
            await asyncio.wait([self._fitting])
        return () if self._fitted is None else self._fitted.names

    async def settlement(self, call: GenerateCall, token_ids: Sequence[int]) -> Settlement | None:
        """How to settle this call; None where ``call.mixes`` says who answers."""
        fitted, deferral = self._fitted, call.deferred
        if fitted is None or deferral is None:
            return None
        find = partial(question_ranges, self._loop.engine.base, call.prompt, token_ids)
        turns = len(deferral.choice.turns)
        if num_characters(call.prompt) <= QUICK_CHARACTERS:
            ranges = find(turns, call.chat)
        else:
            ranges = await asyncio.to_thread(find, turns, call.chat)
        return Settlement(call.mixes[0], deferral, ranges, fitted) if ranges else None

    async def _fit(self, cards: Sequence[RouteCard]) -> None:
        try:
            for texts in (prompts.background(), *(card.texts for card in cards)):
                if texts not in self._known:
                    self._known[texts] = await self._read(texts)
            self._fitted = await asyncio.to_thread(self._fit_known, cards)
            logger.info("the trunk has a say on %d adapters", len(cards))
        except AdaptrixError as error:  # an engine that is ending, a base whose states are not finite
            logger.warning("the trunk has no say on who answers: %s", error.message)

    def _fit_known(self, cards: Sequence[RouteCard]) -> FittedTrunk:
        return TrunkSignal(lambda texts: self._known[tuple(texts)]).fit(cards)

    async def _read(self, texts: Sequence[str]) -> Vectors:
        means = await asyncio.to_thread(self._kept.find, texts)
        if means is None:
            means = await trunk_means_beside(self._loop, texts)
            await asyncio.to_thread(self._kept.keep, texts, means)
        return means


class Settlement:
    """One call's way to its mix."""

    def __init__(
        self, provisional: BundleMix, deferral: Deferral, ranges: tuple[TokenRange, ...], trunk: FittedTrunk
    ) -> None:
        """provisional: the mix that answers where the trunk cannot have its say."""
        self._provisional = provisional
        self._deferral = deferral
        self._ranges = ranges
        self._trunk = trunk
        self._pinned: dict[BundleMix, tuple[Pinned, AsyncExitStack]] = {}
        self._failed: dict[BundleMix, AdaptrixError] = {}
        self.choice: SettledChoice | None = None
        """Set by the time of the call's first event, unless the router's opinion holds."""

    @asynccontextmanager
    async def pinned(self, holdings: Holdings) -> AsyncIterator[Pinned]:
        """Keep the candidates in host memory for as long as the context lasts, or until `let_go_others`.

        One that cannot be used is an error only if it is chosen. Yields what the trunk needs: nothing.
        """
        async with AsyncExitStack() as all_of_them:
            for mix in dict.fromkeys((BASE, self._provisional, *self._deferral.candidates.values())):
                stack = await all_of_them.enter_async_context(AsyncExitStack())
                try:
                    self._pinned[mix] = await stack.enter_async_context(holdings.pinned([mix])), stack
                except AdaptrixError as error:
                    self._failed[mix] = error
            yield self._pinned[BASE][0]

    async def let_go_others(self) -> asyncio.Future[None]:
        """Keep only the adapters that were chosen; gets an error as soon as one of them is revoked."""
        chosen = self._provisional if self.choice is None else self.choice.mix
        for mix, (_, stack) in self._pinned.items():
            if mix not in (chosen, BASE):
                await stack.aclose()
        return self._pinned[chosen if chosen in self._pinned else BASE][0].ended

    def deferred(
        self, request: GenerationRequest, params_with: Callable[[SamplingDefaults | None], SamplingParams]
    ) -> GenerationRequest:
        """The request with its mix left open. params_with: its parameters with an adapter's sampling defaults."""

        def policy(means: Means | None) -> Settled:
            mix = self._settle(means)
            if mix in self._failed:
                raise self._failed[mix]
            pinned, _ = self._pinned[mix]
            return Settled(pinned.mixes[0], params_with(pinned.asked))

        return replace(request, deferred=Deferred(self._ranges, policy))

    def _settle(self, means: Means | None) -> BundleMix:
        decision = settled(self._deferral.choice, self._trunk, means)
        if decision is None:
            self.choice = None
            return self._provisional
        name, mix = decision.adapter, BASE
        if name is not None and name not in self._deferral.broken:
            if name not in self._deferral.candidates:
                raise AdapterNotFound(f"adapter {name!r} was chosen, and is not among the candidates")
            mix = self._deferral.candidates[name]
        self.choice = SettledChoice(mix, decision)
        return mix
