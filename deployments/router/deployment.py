"""The router deployment: decides which adapter answers, from the text alone; it is not on the way of the tokens.

Follows the store's catalogue and the adapters' residency. The catalogue's texts are unverified, so they can make it
choose badly, but never load anything. It keeps no state of a conversation: `SemanticRouter` finds the previous
adapter again by deciding over the earlier user turns that the client sends, so routers that know the same give the same
answer. Embeddings of recent texts are cached, apart for each tenant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ray import serve

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.config import Settings
from adaptrix_core.config.sections import RouterSettings
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import current_span, start_tracing
from adaptrix_core.request_limits import MOST
from adaptrix_core.routing.conversation import user_turns
from deployments.router.embedding_turns import EmbeddingTurns
from deployments.router.views import RouterViews, ViewRouter
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry
from deployments.shared.errors import NotReady
from deployments.shared.loopback import keep_to_loopback
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import RouteAnswer
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.handle import namespace_of
from deployments.store.residency_follower import ResidencyFollower

if TYPE_CHECKING:
    from adaptrix_core.confidence.feedback import AnswerLabel
    from adaptrix_core.routing.calibration import Calibration
    from adaptrix_core.routing.catalogue import RouteCard
    from adaptrix_core.routing.embedder import TextEmbedder
    from adaptrix_core.routing.feedback.answers import AnswerLabelTaken
    from adaptrix_core.routing.feedback.labels import LabelTaken
    from adaptrix_core.routing.message import Vectors
    from adaptrix_core.routing.policy import Decision
    from adaptrix_core.routing.signals.learnt_messages import LearntMessage
    from adaptrix_core.routing.trunk.settlement import OpenChoice

logger = logging.getLogger(__name__)

NO_KEYWORDS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True)
class Heard:
    """What a decision is made by."""

    turns: Sequence[str]
    rows: Vectors | None
    """The turns' embeddings; None where there is no embedder, or it fails."""
    view: ViewRouter
    """Of the tenant that asks."""
    residency: Mapping[str, Residency]
    accepts: Mapping[str, float]
    """The tenant's thresholds by adapter, where they are other than the calibrated one."""


class RouterReplica:
    """Serves decisions and embeddings."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        # Seconds of imports (torch, sentence-transformers): only a router replica pays for them.
        from adaptrix_core.routing.embedder import embedder_of
        from adaptrix_core.routing.feedback.answers import AnswerThresholds
        from adaptrix_core.routing.semantic import SemanticRouter
        from adaptrix_core.routing.signals.evidence_file import read_evidence
        from adaptrix_core.routing.signals.learnt_messages import LearntMessages

        keep_to_loopback()
        self._settings = settings.router
        self._keywords = settings.router.keywords
        self._evidence = read_evidence(settings.router.evidence_file)
        self._learnt = await asyncio.to_thread(LearntMessages, settings.adapters.state_dir)
        self._refit: asyncio.Task[None] | None = None
        self._is_stale = False
        self._embedder = await asyncio.to_thread(embedder_of, settings.router.embedder)
        self._turns = None if self._embedder is None else EmbeddingTurns(self._embedder.embed_groups)
        calibration = calibration_of(settings.router)
        make = partial(SemanticRouter, self._embedder, (), calibration, settings.router.signals)
        self._views = await asyncio.to_thread(
            RouterViews, make, self._public_cards, cards_of, settings.adapters.state_dir
        )
        self._answers = await asyncio.to_thread(AnswerThresholds, settings.adapters.state_dir)
        self._labelling = TenantQueue("labels", threads=2, at_once=1, max_waiting=MOST.labels_waiting)
        self._embedding = TenantQueue("inputs", threads=4, at_once=1, max_waiting=MOST.embeddings_waiting)
        context = serve.get_replica_context()
        start_logging(settings.observe)
        self._tracing = start_tracing(settings.observe, "router", context.replica_id.unique_id)
        self._follower = StoreFollower(settings.adapters, namespace_of(context.app_name), self._on_catalogue)
        await self._follower.start()
        self._residency = ClusterResidency()
        self._residency_follower = ResidencyFollower(self._follower.residency, self._on_residency)
        self._residency_follower.start()

    async def route(
        self,
        messages: list[dict[str, str]],
        salt: bytes = b"",
        trace: Mapping[str, str] | None = None,
        explained: bool = False,
    ) -> RouteAnswer:
        """The adapter that should answer. salt: the tenant's. trace: W3C headers. Raises InvalidRequest.

        explained: with what each signal said.
        """
        with current_span(self._tracing.tracer, "router.decide", self._tracing.parent(trace or {})) as span:
            heard = await self._heard(messages, salt)
            answer = RouteAnswer.of(decided(heard), explained, left_open(self._settings, heard))
            if explained and heard.turns:
                answer = replace(answer, touches=await asyncio.to_thread(heard.view.router.touched, heard.turns[-1]))
            span.set_attribute("adaptrix.route.score", answer.score)
            return answer

    async def has_to_be_asked(self) -> bool:
        """Whether its own decisions go by more than the adapters' cards and built-in signals.

        Where they do not, a question about which the base model's own reading is clear need not be put to it.
        """
        return goes_by_more_than_cards(self._settings) or bool(self._learnt.all())

    async def feedback(
        self, messages: list[dict[str, str]], right: str | None, salt: bytes = b"", learn: bool = False
    ) -> LabelTaken:
        """Note which adapter should answer (None: the base model); moves this tenant's thresholds alone.

        learn: keep the last message's text, too, for the signals of all tenants; they are fitted to it in the
        background. Raises InvalidRequest, OSError, and Overloaded where too many of the tenant's labels wait.
        """
        heard = await self._heard(messages, salt)
        if learn:
            heard.view.require_public(right)
        taken = await self._labelling.run(salt, heard.view.thresholds.label, salt, decided(heard), right)
        if not learn:
            return taken
        await self._labelling.run(salt, self._learnt.add, heard.turns[-1] if heard.turns else "", right)
        self._refit_soon()
        return replace(taken, learnt=len(self._learnt.all()))

    async def learnt(self) -> tuple[LearntMessage, ...]:
        """The messages that were learnt with their text, in the order of learning."""
        return self._learnt.all()

    async def forget(self, message_id: str) -> LearntMessage | None:
        """Forget a learnt message; what was forgotten, None where there is none of this id. Raises OSError."""
        gone = await asyncio.to_thread(self._learnt.forget, message_id)
        if gone is not None:
            self._refit_soon()
        return gone

    async def label_answer(self, label: AnswerLabel, salt: bytes = b"") -> AnswerLabelTaken:
        """Note whether an answer was right; moves this tenant's thresholds of confidence alone.

        Raises Overloaded where too many of the tenant's labels wait.
        """
        return await self._labelling.run(salt, self._answers.label, salt, label)

    async def confidence_moved(self, salt: bytes = b"") -> Mapping[str, float]:
        """By who answers, how far this tenant's thresholds of confidence are moved, in log-odds."""
        return await asyncio.to_thread(self._answers.of, salt)

    async def _heard(self, messages: list[dict[str, str]], salt: bytes) -> Heard:
        turns = user_turns(messages)
        rows = await self._rows(turns, salt)
        view = self._views.of(salt)
        accepts = view.thresholds.known(salt)
        if accepts is None:
            accepts = await asyncio.to_thread(view.thresholds.of, salt)
        return Heard(turns, rows, view, view.residency(self._residency), accepts)

    async def embed(
        self, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        """One vector for each text, or for each list of token ids, and how many tokens were read.

        Raises InvalidRequest for other ``dimensions`` and for token ids that the model cannot read.
        """
        if self._embedder is None:
            raise NotReady(
                "the router has no embedding model (setting router.embedder); name one", code="router_disabled"
            )
        return await self._embedding.run(salt, embedded, self._embedder, inputs, dimensions, salt)

    async def _rows(self, turns: list[str], salt: bytes) -> Vectors | None:
        """The embeddings of ``turns``; None without an embedder, and where it fails: words decide then."""
        if self._embedder is None or self._turns is None:
            return None
        known = self._embedder.known(turns, salt)
        if known is not None:
            return known
        try:
            rows = await self._turns.rows(turns, salt)
        except (RuntimeError, OSError, MemoryError) as error:
            logger.warning("the embedder has failed, so keywords decide: %s: %s", type(error).__name__, error)
            return None
        return rows

    def _on_residency(self, known: ClusterResidency) -> None:
        self._residency = known

    async def _on_catalogue(self, catalogue: Catalogue) -> None:
        await self._views.follow(catalogue)

    def _refit_soon(self) -> None:
        """Have the signals fitted to what has been learnt: once for all that is learnt while they are being fitted."""
        self._is_stale = True
        if self._refit is None or self._refit.done():
            self._refit = asyncio.create_task(self._refit_while_stale())

    async def _refit_while_stale(self) -> None:
        while self._is_stale:
            self._is_stale = False
            try:
                await self._views.fit()
            except AdaptrixError as error:
                logger.warning("the router decides as before what was learnt: %s", error.message)

    def _public_cards(self, entries: Sequence[Entry]) -> tuple[RouteCard, ...]:
        """With the keywords of the settings, and all that is learnt now."""
        return tuple(self._evidence.with_learnt(self._learnt.all()).on(cards_of(entries, self._keywords)))


def decided(heard: Heard) -> Decision:
    """What the router of the tenant that asks decides."""
    return heard.view.router.decide_embedded(heard.turns, heard.rows, residency=heard.residency, accepts=heard.accepts)


def embedded(
    embedder: TextEmbedder, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
) -> tuple[list[list[float]], int]:
    """As `RouterReplica.embed`, computed here."""
    if dimensions not in (None, embedder.dimension):
        raise InvalidRequest(
            f"dimensions is {dimensions}; the embedding model has {embedder.dimension}: leave it out",
            param="dimensions",
        )
    tokens = [one for one in inputs if not isinstance(one, str)]
    if tokens:
        return embedder.embed_tokens(tokens).tolist(), sum(map(len, tokens))
    texts = [one for one in inputs if isinstance(one, str)]
    return embedder.embed(texts, salt).tolist(), embedder.num_tokens(texts)


def cards_of(entries: Iterable[Entry], keywords: Mapping[str, Sequence[str]] = NO_KEYWORDS) -> tuple[RouteCard, ...]:
    """The catalogue as the router reads it. keywords: those of the settings, by adapter."""
    from adaptrix_core.routing.catalogue import RouteCard, with_keywords

    cards = [RouteCard(entry.public_name, entry.description, entry.examples, entry.keywords) for entry in entries]
    return with_keywords(cards, keywords)


def left_open(settings: RouterSettings, heard: Heard) -> OpenChoice | None:
    """What the router leaves to the replicas, where the trunk has a vote; None where it decides for good."""
    from adaptrix_core.routing.calibration import TRUNK_ALONE, WITH_TRUNK

    if not settings.trunk or not heard.turns:
        return None
    router = heard.view.router
    chosen = TRUNK_ALONE if heard.rows is None else WITH_TRUNK
    calibration = chosen if settings.threshold is None else chosen.with_threshold(settings.threshold)
    # Thresholds by feedback are told as the router's own margins: what moves is how far they are from the usual one.
    moved = {name: calibration.accept + a - router.calibration.accept for name, a in heard.accepts.items()}
    calibration = calibration.model_copy(update={"accepts": moved})
    return router.left_open(heard.turns, heard.rows, calibration, heard.residency)


def goes_by_more_than_cards(settings: RouterSettings) -> bool:
    """Whether somebody has set what speaks for or against adapters, or other signals than the built-in ones."""
    from adaptrix_core.routing.calibration import Calibration

    signals = settings.signals or calibration_of(settings).signals
    return bool(settings.keywords) or settings.evidence_file is not None or dict(signals) != dict(Calibration().signals)


def calibration_of(settings: RouterSettings) -> Calibration:
    """The thresholds of the settings. Raises ConfigError."""
    from adaptrix_core.routing.calibration import Calibration, load_calibration

    calibration = Calibration() if settings.calibration_file is None else load_calibration(settings.calibration_file)
    return calibration if settings.threshold is None else calibration.with_threshold(settings.threshold)
