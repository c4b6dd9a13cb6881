"""One deferred call's way to its mix: what the router says, and what the trunk makes of the question.

A question about which the trunk is clear is settled by it alone (`routing/trunk/clear_reading.py`). Else the router is
asked: in a conversation while the engine computes the trunk, so that its time is not on the way to the first token; of
a first question only where the trunk was not clear. The row waits at the cut for its answer, at most `ROUTER_WAIT_S`;
the trunk then decides alone. Event loop and engine thread meet here, under a lock.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from adaptrix_core.base.question_tokens import TokenRange
from adaptrix_core.engine import EngineLoop, GenerationRequest, SamplingParams
from adaptrix_core.engine.deferred import Deferred, Means, Settled
from adaptrix_core.errors import AdapterNotFound, AdaptrixError
from adaptrix_core.injection.mix import constant
from adaptrix_core.routing.signals.trunk import FittedTrunk
from adaptrix_core.routing.trunk.clear_reading import clear_decision
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from adaptrix_core.routing.trunk.route_answer import RouteAnswer
from adaptrix_core.routing.trunk.settlement import TRUNK, settled
from adaptrix_core.routing.trunk.without_router import choice_without_router
from adaptrix_core.routing.vote import SignalVote
from adaptrix_core.sampling import SamplingDefaults
from deployments.replica.packages.holdings import Holdings, Pinned
from deployments.shared.errors import ChosenComposition, NotReady, as_core_error
from deployments.shared.wire import BundleMix

logger = logging.getLogger(__name__)

ROUTER_WAIT_S = 1.0
"""Longest time, in seconds, that a row which the trunk can judge waits for the router: it holds cache blocks."""
BASE: BundleMix = ()
"""The base model alone."""


class Settlement:
    """What is known of one call so far, and what is settled by it."""

    def __init__(
        self,
        deferral: Deferral,
        ranges: tuple[TokenRange, ...],
        trunk: FittedTrunk | None,
        ask: Callable[[], Awaitable[RouteAnswer]],
        threshold: float | None,
        silence: str,
        trunk_first: bool,
    ) -> None:
        """ranges: where the turns stand in the prompt; empty where the trunk cannot have its say. ask: the router.

        threshold: the setting ``router.threshold``. silence: half a sentence on why the trunk says nothing, if so.
        trunk_first: whether the router need not be asked of a first question about which the trunk is clear.
        """
        self._deferral = deferral
        self._ranges = ranges
        self._trunk = trunk
        self._ask = ask
        self._threshold = threshold
        self._silence = silence
        self._trunk_first = trunk_first and deferral.said is None and len(deferral.turns) == 1
        self._lock = threading.Lock()
        self._said = deferral.said
        self._failure: AdaptrixError | None = None
        """Why the router has said nothing."""
        self._waits = False
        """Whether the row has come to the cut before the router's answer."""
        self._asking: asyncio.Task[None] | None = None
        self._pinned: dict[BundleMix, tuple[Pinned, AsyncExitStack]] = {}
        self._failed: dict[BundleMix, AdaptrixError] = {}
        self.choice: SettledChoice | None = None
        """Set by the time of the call's first event."""

    @asynccontextmanager
    async def pinned(self, holdings: Holdings) -> AsyncIterator[Pinned]:
        """Keep the candidates in host memory for as long as the context lasts, or until `let_go_others`.

        One that cannot be used is an error only if it is chosen. Yields what the trunk needs: nothing.
        """
        async with AsyncExitStack() as all_of_them:
            for mix in dict.fromkeys((BASE, *self._deferral.candidates.values())):
                stack = await all_of_them.enter_async_context(AsyncExitStack())
                try:
                    self._pinned[mix] = await stack.enter_async_context(holdings.pinned([mix])), stack
                except AdaptrixError as error:
                    self._failed[mix] = error
            try:
                yield self._pinned[BASE][0]
            finally:
                if self._asking is not None:
                    self._asking.cancel()

    async def let_go_others(self) -> asyncio.Future[None]:
        """Keep only the adapters that were chosen; gets an error as soon as one of them is revoked."""
        chosen = BASE if self.choice is None else self.choice.mix
        for mix, (_, stack) in self._pinned.items():
            if mix not in (chosen, BASE):
                await stack.aclose()
        return self._pinned[chosen if chosen in self._pinned else BASE][0].ended

    async def deferred(
        self,
        request: GenerationRequest,
        params_with: Callable[[SamplingDefaults | None], SamplingParams],
        loop: EngineLoop,
    ) -> GenerationRequest:
        """The request with its mix left open, or settled where the trunk cannot have its say.

        params_with: its parameters with an adapter's sampling defaults. Raises what the router raises, where neither
        can say and the base model may not answer, and the errors of `Holdings.pinned`.
        """

        event_loop = asyncio.get_running_loop()

        def policy(means: Means | None) -> Settled | None:
            clear = self._clear(means)
            if clear is None or self._deferral.is_explained:
                with self._lock:
                    self._waits = self._said is None
                if self._said is None:
                    event_loop.call_soon_threadsafe(self._hear_once, request.request_id, loop)
                    return None
            mix = self._settle(self._said, clear, means)
            if mix in self._failed:
                raise self._refusal_of(mix)
            pinned, _ = self._pinned[mix]
            return Settled(pinned.mixes[0], params_with(pinned.asked[0]))

        if self._ranges:
            if not self._trunk_first or self._deferral.is_explained:
                self._hear_once(request.request_id, loop)
            return replace(request, deferred=Deferred(self._ranges, policy))
        if self._said is None:
            self._said = await self._asked(None)
        now = policy(None)
        assert now is not None  # the router has been heard
        return replace(request, schedules=(constant(now.mix),), params=now.params or request.params)

    def _hear_once(self, request_id: str, loop: EngineLoop) -> None:
        if self._said is None and self._asking is None:
            self._asking = asyncio.create_task(self._hear(request_id, loop))

    async def _hear(self, request_id: str, loop: EngineLoop) -> None:
        said = await self._asked(ROUTER_WAIT_S)
        with self._lock:
            self._said = said
        if self._waits:
            loop.ask_again(request_id)

    async def _asked(self, wait_s: float | None) -> RouteAnswer:
        """What the router says, or what is left open without it. Raises nothing."""
        try:
            async with asyncio.timeout(wait_s):
                return await self._ask()
        except TimeoutError:
            self._failure = NotReady(f"the router has not answered within {wait_s} s")
        except Exception as raised:
            self._failure = as_core_error(raised)
        logger.warning("the router says nothing on a call: %s", self._failure.message)
        probes = () if self._trunk is None else self._trunk.names
        names = [name for name in self._deferral.candidates if name in probes]
        turns = self._deferral.turns
        left_open = await asyncio.to_thread(choice_without_router, turns, names, self._threshold) if names else None
        return RouteAnswer((), {}, 0.0, 0.0, "base model: the router could not be asked", left_open=left_open)

    def _clear(self, means: Means | None) -> RouteAnswer | None:
        """What the trunk alone says of a first question; None where it is not clear, or may not go first."""
        if not self._trunk_first or self._trunk is None:
            return None
        decision = clear_decision(tuple(self._deferral.candidates), self._trunk, means, self._threshold)
        return None if decision is None else RouteAnswer.of(decision, self._deferral.is_explained)

    def _settle(self, said: RouteAnswer | None, clear: RouteAnswer | None, means: Means | None) -> BundleMix:
        """The mix that answers; `choice` tells of it. said: by the router, not None unless the trunk is clear."""
        if clear is not None:
            answer, trouble = clear if said is None else _beside(said, clear), ""
        else:
            assert said is not None
            answer, trouble = self._with_router(said, means)
        name, mix = answer.adapter, BASE
        if name is not None and name not in self._deferral.candidates:
            if not self._deferral.falls_back:
                raise AdapterNotFound(f"the router has chosen {name!r}, which the catalogue does not have")
            trouble = f"{name}: not in the catalogue"
        elif name is not None and name not in self._deferral.broken:
            mix = self._deferral.candidates[name]
        self.choice = SettledChoice(mix, answer, trouble)
        return mix

    def _refusal_of(self, mix: BundleMix) -> AdaptrixError:
        """Why what was chosen cannot be used; of a composition of several calls, with the decision for it."""
        error, choice = self._failed[mix], self.choice
        return error if choice is None or error.code != "bad_composition" else ChosenComposition(error, choice.answer)

    def _with_router(self, said: RouteAnswer, means: Means | None) -> tuple[RouteAnswer, str]:
        """The router's and the trunk's decision, and why the base model answers in place of it, if it does."""
        answer = self._with_trunk(said, means)
        if answer is not None:
            return answer, ""
        if self._failure is not None and not self._deferral.falls_back:
            raise self._failure
        if self._deferral.is_explained:
            said = replace(said, votes=(*said.votes, SignalVote(TRUNK, 0.0, {}, self._silence)))
        return said, "" if self._failure is None else f"router: {self._failure.code}: {self._failure.message}"

    def _with_trunk(self, said: RouteAnswer, means: Means | None) -> RouteAnswer | None:
        """The answer to which the trunk has contributed; None where it has no say."""
        if said.left_open is None or self._trunk is None:
            return None
        decision = settled(said.left_open, self._trunk, means)
        if decision is None:
            return None
        answer = RouteAnswer.of(decision, self._deferral.is_explained)
        return replace(answer, votes=(*said.votes, *answer.votes), touches=said.touches)


def _beside(said: RouteAnswer, clear: RouteAnswer) -> RouteAnswer:
    """The trunk's decision with the votes of the others, which do not count."""
    votes = tuple(replace(vote, weight=0.0) for vote in said.votes)
    return replace(clear, votes=(*votes, *clear.votes), touches=said.touches)
