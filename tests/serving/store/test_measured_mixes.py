"""Mixes that requests ask for: what was measured of them is warned of, refused or resolved, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, MeasuredPart
from adaptrix_core.composition.conflicts.signed_mix import CONFLICT_FILE, write_measurement
from adaptrix_core.digests import WeightsDigest
from tests.serving.conftest import eventually
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio

CHAT = "/v1/chat/completions"
PAIR = ("math_reasoning", "code_generation")
MIX = {PAIR[0]: 0.5, PAIR[1]: 0.5}
REDUCED = (0.5, 0.125)
LABEL = "math_reasoning*0.5+code_generation*0.5"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "temperature": 0}
EVERY_REQUEST_MEASURED = 9.0
"""Nats per token that the measured mix costs, so that next to nothing of an answer's probability is left."""


def settings(world: World, tag: str, **composition: object) -> dict[str, object]:
    return world.settings(
        adapters={"state_dir": str(world.root / f"state-{tag}"), "poll_s": 0.1},
        composition={"conflicts_dir": str(world.root / f"conflicts-{tag}"), **composition},
    )


def measured(
    store: LocalStore, displaced: float = EVERY_REQUEST_MEASURED, mix: Mapping[str, float] = MIX
) -> MeasuredMix:
    base = store.worker._engine.base
    parts = []
    for name, reduced in zip(mix, REDUCED, strict=True):
        entry = store.catalogue.public.find(name)
        assert entry is not None
        parts.append(
            MeasuredPart(
                identity=entry.identity,
                package_digest=entry.package_digest,
                weights_digest=WeightsDigest("0" * 64),
                weight=mix[name],
                reduced=reduced,
                prompts=4,
                tokens=40,
                loss_rise=1.0,
                tokens_kept=0.2,
                displacement=displaced,
            )
        )
    return MeasuredMix(
        base_lineage=base.info.lineage,
        base_digest=base.info.digest,
        layout=base.layout,
        max_tokens=48,
        date="2026-01-01",
        parts=tuple(parts),
    )


async def ask(http: httpx.AsyncClient, status: int = 200, **fields: Any) -> httpx.Response:
    answer = await http.post(CHAT, json={**ASK, "model": "auto", "adaptrix": {"mix": MIX}, **fields})
    assert answer.status_code == status, answer.text
    return answer


async def publish(http: httpx.AsyncClient, store: LocalStore, world: World, tag: str) -> None:
    """Leave the measurement where the server reads it, and return once it has."""
    write_measurement(measured(store), world.root / f"conflicts-{tag}", world.private_key)

    async def is_read() -> bool:
        answer = await http.post(CHAT, json={**ASK, "model": LABEL})
        return answer.status_code == 409 or "x-adaptrix-warning" in answer.headers

    await eventually(is_read)


async def text_of(http: httpx.AsyncClient, mix: Mapping[str, float]) -> str:
    return str((await ask(http, adaptrix={"mix": mix})).json()["choices"][0]["message"]["content"])


async def test_a_mix_over_the_limit_is_warned_of_in_all_forms_of_the_answer(world: World) -> None:
    async with running(settings(world, "warn")) as (http, store):
        before = await ask(http)
        assert "x-adaptrix-warning" not in before.headers
        assert "adaptrix" not in before.json()
        await publish(http, store, world, "warn")
        answer = await ask(http)
        assert answer.headers["x-adaptrix-adapter"] == LABEL
        (warning,) = answer.json()["adaptrix"]["warnings"]
        assert warning.startswith(f"mix_conflict: {LABEL} is expected to lose 1.00 of its adapters' right answers")
        assert "math_reasoning@1.0.0 1.00" in warning
        assert "composition.conflict_limit 0.5" in warning
        assert answer.headers["x-adaptrix-warning"] == warning
        named = await ask(http, model=LABEL, adaptrix=None)
        assert named.json()["adaptrix"]["warnings"] == [warning]
        message = await http.post("/v1/messages", json={**ASK, "model": LABEL})
        assert message.json()["adaptrix"]["warnings"] == [warning]
        response = await http.post("/v1/responses", json={"model": LABEL, "input": "hi", "max_output_tokens": 16})
        assert response.json()["adaptrix"]["warnings"] == [warning]
        voted = await ask(http, adaptrix={"compose": {"parallel": [{"parallel": MIX}, PAIR[0]], "combine": "vote"}})
        assert len(voted.json()["adaptrix"]["warnings"]) == 1
        for other in ({PAIR[0]: 0.5, PAIR[1]: 0.25}, {PAIR[0]: 1.0}):
            assert "adaptrix" not in (await ask(http, adaptrix={"mix": other})).json()


async def test_a_mix_over_the_limit_is_refused_with_what_to_do_instead(world: World) -> None:
    async with running(settings(world, "refuse", over_limit="refuse")) as (http, store):
        assert (await ask(http)).status_code == 200  # never measured on the way of a request
        await publish(http, store, world, "refuse")
        error = (await ask(http, 409)).json()["error"]
        assert (error["code"], error["param"]) == ("mix_conflict", "adaptrix.mix")
        for said in (*PAIR, "1.00", "composition.conflict_limit 0.5", "sequential"):
            assert said in error["message"]
        assert (await ask(http, adaptrix={"mix": {PAIR[0]: 1.0}})).status_code == 200


async def test_a_mix_over_the_limit_is_computed_with_reduced_weights_and_says_so(world: World) -> None:
    async with running(settings(world, "resolve", over_limit="resolve")) as (http, store):
        wanted = await text_of(http, dict(zip(PAIR, REDUCED, strict=True)))
        await publish(http, store, world, "resolve")
        answer = await ask(http)
        assert answer.headers["x-adaptrix-adapter"] == "math_reasoning*0.5+code_generation*0.125"
        assert answer.json()["choices"][0]["message"]["content"] == wanted
        assert "weights are reduced to 0.5, 0.125" in answer.json()["adaptrix"]["warnings"][0]


@pytest.mark.parametrize(("over_limit", "conflict_limit"), [("off", 0.0), ("refuse", 1.0)])
async def test_nothing_is_said_where_it_is_off_or_within_the_limit(
    world: World, over_limit: str, conflict_limit: float
) -> None:
    composition = {"over_limit": over_limit, "conflict_limit": conflict_limit}
    async with running(settings(world, f"quiet-{over_limit}", **composition)) as (http, store):
        write_measurement(measured(store), world.root / f"conflicts-quiet-{over_limit}", world.private_key)
        assert "adaptrix" not in (await ask(http)).json()


async def test_a_measurement_that_was_changed_or_that_nobody_trusted_signed_does_not_count(world: World) -> None:
    place = world.root / "conflicts-tampered"
    async with running(settings(world, "tampered", over_limit="refuse")) as (http, store):
        file = write_measurement(measured(store, displaced=0.0), place, world.private_key) / CONFLICT_FILE
        file.write_bytes(file.read_bytes().replace(b'"displacement": 0.0', b'"displacement": 9.0'))
        assert "adaptrix" not in (await ask(http)).json()  # the first request, so the file is read for it
        await publish(http, store, world, "tampered")
        await ask(http, 409)


async def test_an_adapter_that_was_replaced_is_another_mix(world: World) -> None:
    async with running(settings(world, "replaced", over_limit="refuse")) as (http, store):
        made = measured(store)
        other = made.parts[0].model_copy(update={"package_digest": "f" * 64})
        replaced = made.model_copy(update={"parts": (other, made.parts[1])})
        write_measurement(replaced, world.root / "conflicts-replaced", world.private_key)
        assert (await ask(http)).status_code == 200
