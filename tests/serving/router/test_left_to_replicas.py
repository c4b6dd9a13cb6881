"""Which prompts the ingress sends unrouted, for a replica to ask the router: those that any one adapter may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from deployments.callers.principal import LOCAL
from deployments.generation.resolve import ResolvedRequest, resolve
from deployments.generation.route_prompts import MOST_CANDIDATES
from deployments.openai.schemas import CompletionRequest
from deployments.shared.catalogue import View
from deployments.shared.entry import Entry
from deployments.shared.wire import RouteAnswer
from tests.serving.conftest import BASE_ID
from tests.serving.generation.test_routed_prompts import Decided, Spelled

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTRIES = tuple(Entry(name, "1.0.0", name * 9, name * 8, f"Does {name}.") for name in ("math", "logic"))
MUTE = Entry("mute", "1.0.0", "m" * 64, "m" * 64)


class Counting(Decided):
    """Counts what it is asked."""

    asked = 0

    async def route(self, messages: Any, salt: bytes = b"", explained: bool = False) -> RouteAnswer:
        self.asked += 1
        return await super().route(messages, salt, explained)


async def resolved(prompt: Any, entries: Sequence[Entry], replicas_ask: bool = True) -> tuple[ResolvedRequest, int]:
    """The request, and how often the router was asked for it."""
    body, router = CompletionRequest.model_validate({"model": "auto", "prompt": prompt}), Counting()
    found = await resolve(body, BASE_ID, View(tuple(entries)), router, Spelled(), LOCAL, replicas_ask=replicas_ask)
    return found, router.asked


async def test_a_text_goes_unrouted_with_every_adapter_that_says_what_it_is_for() -> None:
    found, asked = await resolved("math", (*ENTRIES, MUTE))
    deferral = found.deferral_of(0)
    assert asked == 0
    assert deferral is not None
    assert deferral.said is None
    assert deferral.turns == ("math",)
    assert set(deferral.candidates) == {"math", "logic"}
    assert [mix.label for mix in found.mixes] == ["base"]


@pytest.mark.parametrize(
    ("prompt", "entries"),
    [
        ([[0]], ENTRIES),
        (["math", "logic"], ENTRIES),
        ("base", (MUTE,)),
        ("math", [replace(ENTRIES[0], name=str(n or "math")) for n in range(MOST_CANDIDATES + 1)]),
    ],
    ids=["token ids", "two prompts", "nobody to choose", "too many to choose from"],
)
async def test_others_are_routed_before(prompt: Any, entries: Sequence[Entry]) -> None:
    found, asked = await resolved(prompt, entries)
    assert asked == (len(prompt) if isinstance(prompt, list) else 1)
    assert found.deferral_of(0) is None


async def test_without_the_trunk_the_router_is_asked_before() -> None:
    found, asked = await resolved("math", ENTRIES, replicas_ask=False)
    assert (found.deferral_of(0), asked) == (None, 1)
