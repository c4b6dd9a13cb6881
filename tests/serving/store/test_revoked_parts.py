"""A part of a composition that a request writes out is revoked in mid-answer: the answer ends, and says why; what was
written before is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters.trust.revocation import RevocationList
from adaptrix_core.digests import PackageDigest
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import running
from tests.serving.store.test_composition_trust import Server, ask, error_of
from tests.serving.store.test_revocation import package_of, revoke
from tests.serving.tiny import World

LONG = {"max_tokens": 600, "ignore_eos": True}
ROWS = {"logits": 2, "vote": 2}
"""Rows of one answer, where it is more than one."""
REVOKED = "code_generation"
"""The part that is revoked; in a sequence it has not begun yet, and under the condition its turn never comes."""
COMPOSITIONS: dict[str, Any] = {
    "gate": {"parallel": {"math_reasoning": 1.0, REVOKED: 1.0}, "combine": "gate"},
    "logits": {"parallel": {"math_reasoning": 1.0, REVOKED: 1.0}, "combine": "logits"},
    "vote": {"parallel": {"math_reasoning": 1.0, REVOKED: 1.0}, "combine": "vote"},
    "sequence": {"sequential": ["math_reasoning", REVOKED], "plan": ["What is 2 + 3?", "Write {0} as code."]},
    "condition": {"conditional": [{"if": {"marker": "\x07\x07\x07"}, "then": REVOKED}], "else": "math_reasoning"},
}


@pytest_asyncio.fixture
async def server(world: World, tmp_path: Path) -> AsyncIterator[Server]:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with running(args) as started:
        yield started


def last_of(streamed: httpx.Response) -> dict[str, Any]:
    """The last event of a stream; the error itself where it came before the first one."""
    events = [line for line in streamed.text.splitlines() if line.startswith("data: {")]
    document: dict[str, Any] = json.loads(events[-1].removeprefix("data: ")) if events else streamed.json()
    return document


@pytest.mark.parametrize("kind", COMPOSITIONS)
async def test_the_answer_ends_with_the_reason_and_its_neighbours_go_on(
    server: Server, world: World, kind: str
) -> None:
    http, store = server
    fields: dict[str, Any] = {"adaptrix": {"compose": COMPOSITIONS[kind]}, **LONG}
    alone = {**LONG, "seed": 1, "temperature": 1}
    undisturbed = (await ask(http, "logical_reasoning", **alone)).json()["choices"]
    whole = asyncio.create_task(ask(http, BASE_ID, **fields))
    stream = asyncio.create_task(ask(http, BASE_ID, stream=True, **fields))
    other = asyncio.create_task(ask(http, "logical_reasoning", **alone))

    async def all_run() -> bool:
        return (await store.worker.report("r", "")).stats["rows_running"] == 2 * ROWS.get(kind, 1) + 1

    await eventually(all_run)
    revoked = RevocationList(1, {PackageDigest(package_of(store, REVOKED)): "they collude"})
    assert (await revoke(http, world, revoked)).status_code == 200
    ended, streamed = await whole, await stream
    assert error_of(ended) == (422, "adapter_revoked"), ended.text[:300]
    assert "they collude" in ended.json()["error"]["message"]
    assert last_of(streamed)["error"]["code"] == "adapter_revoked"
    assert (await other).json()["choices"] == undisturbed
    assert error_of(await ask(http, BASE_ID, **fields)) == (422, "adapter_revoked")
    assert store.worker._engine.check_integrity() == []


async def test_what_an_earlier_step_had_written_is_kept_and_counted(server: Server, world: World) -> None:
    http, store = server
    composition, (question, _) = COMPOSITIONS["sequence"], COMPOSITIONS["sequence"]["plan"]
    letters = await http.post("/tokenize", json={"model": BASE_ID, "prompt": "What is seventeen plus twenty five?"})
    writes = {"allowed_token_ids": sorted(set(letters.json()["tokens"])), "seed": 1, "temperature": 1}
    usage_in_each = {"include_usage": True, "continuous_usage_stats": True}
    fields = {"adaptrix": {"compose": composition}, "stream_options": usage_in_each, **LONG, **writes}
    before = (await store.worker.report("r", "")).stats["tokens_generated"]
    stream = asyncio.create_task(ask(http, BASE_ID, stream=True, **fields))

    async def has_written() -> bool:
        return (await store.worker.report("r", "")).stats["tokens_generated"] > before + 8

    await eventually(has_written)
    revoked = RevocationList(1, {PackageDigest(package_of(store, REVOKED)): "they collude"})
    assert (await revoke(http, world, revoked)).status_code == 200
    lines = [line.removeprefix("data: ") for line in (await stream).text.splitlines() if line.startswith("data: {")]
    *said, last = map(json.loads, lines)
    assert last["error"]["code"] == "adapter_revoked"
    assert "they collude" in last["error"]["message"]
    told = [choice["adaptrix"] for event in said for choice in event["choices"] if "adaptrix" in choice]
    assert {one["step"] for one in told} == {0}, "the later step was not begun"
    usage = said[-1]["usage"]
    assert usage["completion_tokens"] == usage["completion_tokens_details"]["reasoning_tokens"] > 8
    first = {"model": "math_reasoning", "messages": [{"role": "user", "content": question}], "ignore_eos": True}
    by_hand = await http.post(
        "/v1/chat/completions", json={**first, **writes, "max_tokens": usage["completion_tokens"]}
    )
    assert "".join(one["text"] for one in told) == by_hand.json()["choices"][0]["message"]["content"]
    assert usage["prompt_tokens"] == by_hand.json()["usage"]["prompt_tokens"]
