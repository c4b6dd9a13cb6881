"""One router for each view: what a tenant does not see is never scored for it, and nobody waits for a fit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adaptrix_core.routing.calibration import KEYWORDS_ALONE
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.semantic import SemanticRouter
from deployments.callers.principal import tenant_salt
from deployments.router.deployment import cards_of
from deployments.router.views import RouterViews, ViewRouter
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Audience, Entry

MATHS = Entry("maths", "1", "P", "B", "Sums of numbers", keywords=("sum", "plus"))
POEMS = Audience("acme", ("beta",)).of(Entry("poems", "1", "Q", "C", "Poems and verses", keywords=("poem", "verse")))
ACME, BETA, GAMMA = map(tenant_salt, ("acme", "beta", "gamma"))


def views(state: Path, public_cards: Any = cards_of) -> RouterViews:
    make = partial(SemanticRouter, None, (), KEYWORDS_ALONE, {})
    return RouterViews(make, public_cards, cards_of, state)


def scored(view: ViewRouter, text: str) -> set[str]:
    return set(view.router.decide([{"role": "user", "content": text}]).scores)


async def fitted(of: RouterViews, salt: bytes) -> ViewRouter:
    """The tenant's router once it is fitted to the last change."""
    of.of(salt)
    for own in list(of._others.values()):
        if own.fitting is not None:
            await own.fitting
    return of.of(salt)


async def test_only_what_a_tenant_sees_is_scored_for_it_under_its_own_names(tmp_path: Path) -> None:
    made = views(tmp_path)
    await made.follow(Catalogue("1", (MATHS, POEMS)))
    seen = {salt: scored(await fitted(made, salt), "a poem of a sum") for salt in (ACME, BETA, GAMMA)}
    assert seen == {ACME: {"maths", "poems"}, BETA: {"maths", "~acme/poems"}, GAMMA: {"maths"}}
    await made.follow(Catalogue("2", (MATHS, Audience("acme").of(POEMS))))
    assert scored(await fitted(made, BETA), "a poem of a sum") == {"maths"}


async def test_until_a_tenants_router_is_fitted_the_public_one_decides(tmp_path: Path) -> None:
    may_fit = threading.Event()
    made = views(tmp_path)
    await made.follow(Catalogue("1", (MATHS, POEMS)))
    make = made._make

    def waiting() -> SemanticRouter:
        assert may_fit.wait(60)
        return make()

    made._make = waiting
    assert scored(made.of(ACME), "a poem") == {"maths"}
    await asyncio.sleep(0)
    assert scored(made.of(ACME), "a poem") == {"maths"}, "nobody waits for it"
    may_fit.set()
    assert scored(await fitted(made, ACME), "a poem") == {"maths", "poems"}


async def test_what_operators_set_and_teach_is_for_public_adapters(tmp_path: Path) -> None:
    known: list[set[str]] = []

    def taught(entries: Sequence[Entry]) -> tuple[RouteCard, ...]:
        known.append({entry.name for entry in entries})
        return cards_of(entries, {"poems": ("everything",)})

    made = views(tmp_path, taught)
    await made.follow(Catalogue("1", (MATHS, POEMS)))
    view = await fitted(made, ACME)
    assert known == [{"maths"}, {"maths"}]
    cards = {card.name: card.keywords for card in view.router.catalogue}
    assert cards == {"maths": ("sum", "plus"), "poems": ("poem", "verse")}
