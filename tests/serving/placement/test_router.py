"""The router deployment's own work: texts embedded together, near-ties to the warm adapter, nothing stale for long."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from adaptrix_core.config import Settings
from adaptrix_core.config.sections import RouterSettings
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.injection.mix import Term
from adaptrix_core.observe.tracing import start_tracing
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.evidence_file import RouterEvidence
from adaptrix_core.routing.signals.learnt_messages import LearntMessages
from deployments.router.deployment import RouterReplica, cards_of
from deployments.router.embedding_turns import EmbeddingTurns
from deployments.router.views import RouterViews
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import RouteAnswer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUMS = ("What is 17 + 25?", "Calculate 3 + 4 - 9.", "Solve 2x + 3 = 11 for x.", "How many legs do 3 dogs have?")
TWINS = (
    Entry("sums", "1.0.0", "package-sums", "bundle-sums", "Solves arithmetic.", SUMS),
    Entry("maths", "1.0.0", "package-maths", "bundle-maths", "Solves arithmetic, too.", SUMS),
)
ASK = "What is 12 plus 30?"


class Counted(TextEmbedder):
    """Counts runs of the model, and lets them begin once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.may_run = threading.Event()

    def _run(self, texts: list[str]):  # type: ignore[no-untyped-def]
        self.batches.append(texts)
        assert self.may_run.wait(60)
        return super()._run(texts)


async def replica(embedder: TextEmbedder, state: Path = Path("nowhere")) -> RouterReplica:
    """A router replica without Ray: the same methods, the store's answers by hand."""
    made = RouterReplica.__new__(RouterReplica)
    made._embedder, made._turns = embedder, EmbeddingTurns(embedder.embed_groups)
    made._settings = RouterSettings()
    made._keywords = {}
    made._evidence = RouterEvidence()
    made._learnt, made._refit, made._is_stale = LearntMessages(state), None, False
    make = partial(SemanticRouter, embedder)
    made._views = await asyncio.to_thread(RouterViews, make, made._public_cards, cards_of, state)
    made._labelling = TenantQueue("labels", threads=2, at_once=1, max_waiting=16)
    made._tracing = start_tracing(Settings().observe, "router", "test")
    made._on_residency(ClusterResidency())
    await made._on_catalogue(Catalogue("1", TWINS))
    return made


def user(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


async def chosen(router: RouterReplica, *texts: str, salt: bytes = b"") -> str:
    answer: RouteAnswer = await router.route(user(*texts), salt)
    return answer.mix[0].adapter


async def test_texts_that_come_while_others_are_embedded_are_embedded_together() -> None:
    embedder = Counted()
    embedder.may_run.set()
    router = await replica(embedder)
    alone = [await chosen(router, f"What is {n} plus {n}?", salt=b"before") for n in range(9)]
    embedder.batches.clear()
    embedder.may_run.clear()
    asking = [asyncio.create_task(chosen(router, "What is 0 plus 0?"))]
    while not embedder.batches:  # nothing keeps the first one waiting
        await asyncio.sleep(0.001)
    asking += [asyncio.create_task(chosen(router, f"What is {n} plus {n}?")) for n in range(1, 9)]
    await asyncio.sleep(0)
    embedder.may_run.set()
    assert await asyncio.gather(*asking) == alone
    assert [len(batch) for batch in embedder.batches] == [1, 8]
    await chosen(router, "What is 5 plus 5?")
    assert len(embedder.batches) == 2, "a known text was embedded again"
    await chosen(router, "What is 5 plus 5?", salt=b"another tenant")
    assert len(embedder.batches) == 3, "one tenant's text was known to another"


async def test_a_near_tie_goes_to_the_warm_adapter_and_says_so() -> None:
    router = await replica(TextEmbedder())
    unaware = await chosen(router, ASK)
    other = next(entry for entry in TWINS if entry.name != unaware)
    router._on_residency(ClusterResidency({"a": {}, "b": {other.bundle_digest: "device"}}))
    answer = await router.route(user(ASK))
    assert answer.mix == (Term(other.name),)
    assert f"near-tie with {unaware}" in answer.reason
    assert f"{other.name} is on a device, {unaware} on disk" in answer.reason
    router._on_residency(ClusterResidency())
    assert await chosen(router, ASK) == unaware


async def test_learnt_messages_are_fitted_in_the_background_those_that_come_meanwhile_together(tmp_path: Path) -> None:
    router = await replica(TextEmbedder(), tmp_path)
    texts = [f"What do {n} loaves and a bun cost?" for n in range(5)]
    before = router._views._public.router.catalogue
    fitted = []
    update = router._views._public.router.update

    def noted(cards) -> None:  # type: ignore[no-untyped-def]
        fitted.append(sum(len(card.labelled_right) for card in cards))
        update(cards)

    router._views._public.router.update = noted  # type: ignore[method-assign]
    taken = [await router.feedback(user(text), "sums", learn=True) for text in texts]
    assert [one.learnt for one in taken] == [1, 2, 3, 4, 5]
    assert router._refit is not None
    await router._refit
    assert fitted[-1] == 5, "the last message was left out"
    sums = next(card for card in router._views._public.router.catalogue if card.name == "sums")
    assert set(sums.labelled_right) == set(texts)
    assert all(card.labelled_right == () for card in before), "decisions meanwhile had the old cards"
    gone = await router.forget(router._learnt.all()[0].message_id)
    assert gone is not None
    assert gone.text == texts[0]
    await router._refit
    assert fitted[-1] == 4
    again = await replica(TextEmbedder(), tmp_path)
    assert len(next(card for card in again._views._public.router.catalogue if card.name == "sums").labelled_right) == 4
