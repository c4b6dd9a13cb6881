"""Whether the router has to be asked: what it says, how long that holds, and what makes it say so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.config.sections import RouterSettings
from deployments.router import standing
from deployments.router.deployment import goes_by_more_than_cards
from deployments.router.standing import RouterStanding
from deployments.shared.wire import RouteAnswer

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Saying:
    """A router that says whether it has to be asked."""

    def __init__(self, says: bool | Exception) -> None:
        self.says = says
        self.asked = 0

    async def has_to_be_asked(self) -> bool:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def route(self, messages: Any, salt: bytes = b"", explained: bool = False) -> RouteAnswer:
        raise AssertionError("it is not asked who answers")


async def said(known: RouterStanding) -> bool:
    """What is known once the router has answered."""
    known.has_to_be_asked()
    if known._asking is not None:
        await known._asking
    return known.has_to_be_asked()


async def test_until_it_has_said_so_it_has_to_be_asked() -> None:
    router = Saying(False)
    known = RouterStanding(router)
    assert known.has_to_be_asked()
    assert not await said(known)
    assert router.asked == 1


async def test_what_it_said_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Saying(False)
    known = RouterStanding(router)
    await said(known)
    router.says = True
    assert not await said(known)
    monkeypatch.setattr(standing, "FRESH_S", 0.0)
    assert await said(known)


async def test_a_router_that_is_gone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FRESH_S", 0.0)
    router = Saying(False)
    known = RouterStanding(router)
    assert not await said(known)
    router.says = RuntimeError("gone")
    assert not await said(known)
    assert await said(RouterStanding(router))


async def test_questions_at_once_ask_it_once() -> None:
    router = Saying(False)
    known = RouterStanding(router)
    for _ in range(9):
        known.has_to_be_asked()
    await asyncio.sleep(0)
    assert router.asked == 1


async def test_what_is_set_speaks_against_deciding_without_it(tmp_path: Path) -> None:
    plain = RouterSettings()
    assert not goes_by_more_than_cards(plain)
    assert not goes_by_more_than_cards(plain.model_copy(update={"threshold": 0.7}))
    for changed in (
        {"keywords": {"math": ["sum"]}},
        {"signals": {"embedding": 1.0}},
        {"evidence_file": tmp_path / "evidence.json"},
    ):
        assert goes_by_more_than_cards(plain.model_copy(update=changed))
