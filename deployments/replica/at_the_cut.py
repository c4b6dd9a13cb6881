"""The trunk's probes in one replica, and how its deferred calls are settled by them (`settlement.py`).

The probes are fitted here, where the base model is, whenever the catalogue changes: the texts of new adapters are read
through the trunk behind every request, once for each base model (`routing/trunk/cached_means.py`). They are kept by
bundle, for all tenants: a call is judged by those of its own candidates, under the names that its tenant knows. Until
all of these are there, and for a prompt whose turns cannot be found, the router's opinion decides alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from opentelemetry.context import Context

from adaptrix_core.base.question_tokens import TokenRange, question_ranges
from adaptrix_core.config.sections import RouterSettings
from adaptrix_core.engine import EngineLoop
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.observe.tracing import within
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.cached_means import CachedMeans
from adaptrix_core.routing.trunk.deferral import Deferral
from adaptrix_core.routing.trunk.reading import kept_means_beside
from deployments.generation.ports import Router
from deployments.replica.prompt_encoding import QUICK_CHARACTERS, num_characters
from deployments.replica.settlement import Settlement
from deployments.router.standing import RouterStanding
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import NotReady
from deployments.shared.wire import GenerateCall, RouteAnswer

logger = logging.getLogger(__name__)

NO_PROBES = "the base model's own reading has no say: its probes are not fitted, or it has no cut"
NO_PLACES = "the base model's own reading has no say: the prompt does not tell where the turns stand in it"
NOT_ALL = "the base model's own reading has no say: not every adapter has a probe yet"


class AtTheCut:
    """The probes of one replica. One event loop."""

    def __init__(self, loop: EngineLoop, settings: RouterSettings) -> None:
        self._loop = loop
        self._settings = settings
        self._router: Router | None = None
        self._standing: RouterStanding | None = None
        engine = loop.engine
        self._enabled = settings.trunk and engine.options.cut is not None and engine.base.tokenizer is not None
        self._kept = CachedMeans(engine)
        self._known: dict[tuple[str, ...], Vectors] = {}
        """Means by text lists, of the background and of the catalogue's cards."""
        self._fitted: FittedTrunk | None = None
        self._fitting: asyncio.Task[None] | None = None
        self._cards: list[RouteCard] = []
        """The catalogue that is fitted last."""

    def asks(self, router: Router) -> None:
        """Ask ``router`` for its opinion on the calls that come without it."""
        self._router, self._standing = router, RouterStanding(router)

    def follow(self, catalogue: Catalogue) -> None:
        """Fit the probes of this catalogue in the background; decisions go by the old ones until then."""
        if not self._enabled:
            return
        newest = {entry.bundle_digest: entry for entry in catalogue.whole.newest()}
        all_cards = [RouteCard(bundle, entry.description, entry.examples) for bundle, entry in newest.items()]
        cards = [card for card in all_cards if card.texts]
        if self._fitting is not None:
            if cards == self._cards:
                return
            self._fitting.cancel()
        self._cards = cards
        self._fitting = asyncio.create_task(self._fit(cards))

    async def fitted(self) -> tuple[str, ...]:
        """The bundles that have a probe, once the last catalogue's are fitted."""
        while self._fitting is not None and not self._fitting.done():
            await asyncio.wait([self._fitting])
        return () if self._fitted is None else self._fitted.names

    async def settlement(self, call: GenerateCall, token_ids: Sequence[int], trace: Context) -> Settlement | None:
        """How to settle this call; None where ``call.mixes`` says who answers. trace: the router is asked within it."""
        fitted, deferral = self._fitted, call.deferred
        if deferral is None:
            return None
        if fitted is not None:
            fitted = fitted.called({name: mix[0].adapter for name, mix in deferral.candidates.items() if len(mix) == 1})
        ranges = () if fitted is None else await self._turns_in(call, token_ids, len(deferral.turns))
        ask = partial(self._ask, deferral, call.salt, trace)
        silence = NO_PROBES if fitted is None else NO_PLACES if not ranges else NOT_ALL
        first = self._standing is not None and not self._standing.has_to_be_asked()
        return Settlement(deferral, ranges, fitted, ask, self._settings.threshold, silence, first)

    async def _ask(self, deferral: Deferral, salt: bytes, trace: Context) -> RouteAnswer:
        """The router's opinion on a call. Raises the errors of its deployment, and NotReady where there is none."""
        if self._router is None:
            raise NotReady(
                "this replica knows no router; switch it on (setting router.enabled)", code="router_disabled"
            )
        messages = [{"role": "user", "content": turn} for turn in deferral.turns]
        with within(trace):
            return await self._router.route(messages, salt, deferral.is_explained)

    async def _turns_in(self, call: GenerateCall, token_ids: Sequence[int], turns: int) -> tuple[TokenRange, ...]:
        find = partial(question_ranges, self._loop.engine.base, call.prompt, token_ids, turns, call.chat)
        if num_characters(call.prompt) <= QUICK_CHARACTERS:
            return find()
        return await asyncio.to_thread(find)

    async def _fit(self, cards: Sequence[RouteCard]) -> None:
        try:
            for texts in (prompts.background(), *(card.texts for card in cards)):
                if texts not in self._known:
                    self._known[texts] = await kept_means_beside(self._loop, self._kept, texts)
            self._fitted = await asyncio.to_thread(self._fit_known, cards)
            if self._standing is not None:
                self._standing.refresh()  # now, so that the first question need not be put to the router
            logger.info("the trunk has a say on %d adapters", len(cards))
        except AdaptrixError as error:  # an engine that is ending, a base whose states are not finite
            logger.warning("the trunk has no say on who answers: %s", error.message)

    def _fit_known(self, cards: Sequence[RouteCard]) -> FittedTrunk:
        return TrunkSignal(lambda texts: self._known[tuple(texts)]).fit(cards)
