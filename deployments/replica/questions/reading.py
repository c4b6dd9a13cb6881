"""Reads what the questions of one replica's calls are about, by probes of the adapters that are asked about.

An adapter's probe is fitted when a call first asks about it, from the texts of the catalogue's entry; calls wait for it
meanwhile, so an answer doesn't depend on how long a replica has been there. Knows no router.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cachetools import LRUCache

from adaptrix_core.base.question_tokens import question_ranges
from adaptrix_core.engine import EngineLoop
from adaptrix_core.engine.groups.beginning import Question
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.cached_means import CachedMeans
from adaptrix_core.routing.trunk.questions import FITTED, check_readable, checked_card, question_about, turns_of
from adaptrix_core.routing.trunk.reading import kept_means_beside
from deployments.replica.questions.asked_question import AskedQuestion
from deployments.shared.entry import Entry
from deployments.shared.wire import GenerateCall

Cards = tuple[RouteCard, ...]


class QuestionReading:
    """The probes that calls have asked for. One event loop."""

    def __init__(self, loop: EngineLoop) -> None:
        self._loop = loop
        self._kept = CachedMeans(loop.engine)
        self._fitted: LRUCache[Cards, asyncio.Task[FittedTrunk]] = LRUCache(FITTED)
        """Single-flight: calls that ask alike wait for one fit."""

    async def asked(self, call: GenerateCall, token_ids: Sequence[int], about: Sequence[Entry]) -> AskedQuestion:
        """The question of a call. about: the adapter that each of its rules asks about.

        Raises InvalidRequest where this replica cannot read it, and for an adapter that does not say what it is for.
        """
        num_changes = sum(map(len, call.switches))
        if call.resume:
            return AskedQuestion.answered(call.began, num_changes)
        check_readable(self._loop.engine)
        cards = tuple(checked_card(RouteCard(entry.public_name, entry.description, entry.examples)) for entry in about)
        trunk = await self._trunk(cards)
        question = await asyncio.to_thread(self._question, call, token_ids, cards, trunk)
        return AskedQuestion(question, num_changes)

    def _question(self, call: GenerateCall, token_ids: Sequence[int], cards: Cards, trunk: FittedTrunk) -> Question:
        turns = turns_of(call.prompt)
        ranges = question_ranges(self._loop.engine.base, call.prompt, token_ids, len(turns), call.chat) if turns else ()
        return question_about([card.name for card in cards], trunk, turns, ranges)

    async def _trunk(self, cards: Cards) -> FittedTrunk:
        task = self._fitted.get(cards)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._fitted[cards] = asyncio.create_task(self._fit(cards))
        return await asyncio.shield(task)

    async def _fit(self, cards: Cards) -> FittedTrunk:
        known: dict[tuple[str, ...], Vectors] = {}
        for texts in (prompts.background(), *(card.texts for card in cards)):
            known[texts] = await kept_means_beside(self._loop, self._kept, texts)
        return await asyncio.to_thread(lambda: TrunkSignal(lambda texts: known[tuple(texts)]).fit(cards))
