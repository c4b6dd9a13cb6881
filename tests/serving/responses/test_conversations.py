"""``/v1/conversations`` with OpenAI's own client: kept, answered in, changed at once, bounded, each tenant's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai.types.conversations import Conversation, ConversationItemList

from adaptrix_core.request_limits import MOST
from deployments.callers.key_file import hash_key
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import application, listening, running
from tests.serving.responses import strictly
from tests.serving.responses.test_create import ASK, body, chat, said, text_of
from tests.serving.responses.test_memory import ASKED, FACT, filler, memory
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/conversations"
HELLO = {"type": "message", "role": "user", "content": "hello there"}


async def made(local: Local, **fields: Any) -> str:
    answer = await local.http.post(PATH, json=fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def items_of(http: httpx.AsyncClient, conversation: str) -> list[dict[str, Any]]:
    page = (await http.get(f"{PATH}/{conversation}/items", params={"order": "asc", "limit": 100})).json()
    items: list[dict[str, Any]] = page["data"]
    return items


async def test_the_client_makes_reads_changes_and_deletes_one(local: Local) -> None:
    client = local.openai.conversations
    one = await client.create(items=[HELLO], metadata={"topic": "demo"})  # type: ignore[list-item]
    assert strictly.unknown_members(one) == []
    assert (await client.retrieve(one.id)).to_dict() == one.to_dict()
    changed = await client.update(one.id, metadata={"topic": "other"})
    assert (changed.metadata, changed.created_at) == ({"topic": "other"}, one.created_at)
    added = await client.items.create(one.id, items=[HELLO, {**HELLO, "content": "again"}])  # type: ignore[list-item]
    assert len(added.data) == 2
    listed = [item async for item in client.items.list(one.id, limit=2, order="asc")]
    assert [item.to_dict()["content"][0]["text"] for item in listed] == ["hello there", "hello there", "again"]  # type: ignore[index]
    assert len({item.id for item in listed}) == 3
    raw = (await local.http.get(f"{PATH}/{one.id}/items")).json()
    assert strictly.unknown_members(ConversationItemList.model_validate(raw)) == []
    item = await client.items.retrieve(listed[2].id or "", conversation_id=one.id)
    assert item.to_dict() == listed[2].to_dict()
    left = await client.items.delete(listed[0].id or "", conversation_id=one.id)
    assert isinstance(left, Conversation)
    assert len(await items_of(local.http, one.id)) == 2
    assert (await client.delete(one.id)).deleted
    for gone in (client.retrieve(one.id), client.delete(one.id), client.update(one.id, metadata={})):
        with pytest.raises(openai.NotFoundError):
            await gone


async def test_answers_are_added_and_gone_on_from(local: Local) -> None:
    conversation = await made(local, items=[HELLO])
    first = await said(local, input=ASK, conversation=conversation)
    second = await said(local, input="go on", conversation={"id": conversation})
    assert first["conversation"] == second["conversation"] == {"id": conversation}
    assert strictly.response(first).conversation.id == conversation  # type: ignore[union-attr]
    same = [
        {"role": "user", "content": "hello there"},
        {"role": "user", "content": ASK},
        {"role": "assistant", "content": text_of(first)},
        {"role": "user", "content": "go on"},
    ]
    assert text_of(second) == (await chat(local, same))["choices"][0]["message"]["content"]
    items = await items_of(local.http, conversation)
    assert [item["role"] for item in items] == ["user", "user", "assistant", "user", "assistant"]
    assert items[2]["id"] == first["output"][0]["id"]


async def test_a_streamed_answer_is_in_it_before_its_last_event(local: Local) -> None:
    conversation = await made(local)
    stream = await local.openai.responses.create(
        model=BASE_ID, input=ASK, max_output_tokens=4, stream=True, conversation=conversation
    )
    async for event in stream:
        if event.type in ("response.completed", "response.incomplete"):
            assert len(await items_of(local.http, conversation)) == 2
            return
    pytest.fail("the stream has no end")


async def test_an_answer_that_is_not_stored_is_in_its_conversation_all_the_same(local: Local) -> None:
    conversation = await made(local)
    answer = await said(local, input=ASK, conversation=conversation, store=False)
    assert answer["store"] is False
    assert len(await items_of(local.http, conversation)) == 2


async def test_a_conversation_is_remembered_beyond_the_context(local: Local) -> None:
    conversation = await made(local, items=[{**HELLO, "content": FACT}])
    for number in range(14):
        last = await said(local, input=filler(number), conversation=conversation, truncation="auto")
    fact = (await items_of(local.http, conversation))[0]["id"]
    assert len(memory(last)["left_out"]) > 3
    answer = await said(local, input=ASKED, conversation=conversation, truncation="auto")
    assert fact not in memory(answer)["left_out"]
    assert set(memory(answer)["left_out"]) == set(memory(last)["left_out"]) - set(memory(answer)["recalled"])
    await local.http.delete(f"{PATH}/{conversation}/items/{fact}")
    again = await said(local, input=ASKED, conversation=conversation, truncation="auto")
    assert fact not in (*memory(again)["left_out"], *memory(again)["recalled"])


async def test_two_answers_at_once_are_both_in_it(local: Local) -> None:
    conversation = await made(local)
    answers = await asyncio.gather(*(said(local, input=f"{n}", conversation=conversation) for n in range(4)))
    ids = {item["id"] for item in await items_of(local.http, conversation)}
    assert {answer["output"][0]["id"] for answer in answers} <= ids
    assert len(ids) == 8


MANY = [HELLO] * (MOST.added_items + 1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"items": MANY}, "items"),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items"),
        ({"items": [{"type": "computer_call"}]}, "items.0.type"),
        ({"items": "hello"}, "items"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"name": "x"}, "name"),
    ],
)
async def test_what_no_conversation_begins_with_is_refused_by_name(
    local: Local, fields: dict[str, Any], param: str
) -> None:
    answer = await local.http.post(PATH, json=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_requests_that_name_it_wrongly_are_refused(local: Local) -> None:
    conversation = await made(local)
    first = await said(local)
    both = body(conversation=conversation, previous_response_id=first["id"])
    cases: list[tuple[dict[str, Any], str, str]] = [
        (both, "invalid_request", "conversation"),
        (body(conversation="conv_" + "0" * 32), "unknown_conversation", "conversation"),
        (body(conversation="x" * 129), "invalid_request", "conversation"),
        (body(conversation={"id": 1}), "invalid_request", "conversation.id"),
        (body(conversation=7), "invalid_request", "conversation"),
    ]
    for asked, code, param in cases:
        answer = await local.http.post("/v1/responses", json=asked)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, code), answer.text
        assert error["param"] is None or error["param"].startswith(param)
    for path in (f"{PATH}/{conversation}/items", f"{PATH}/{conversation}/items/nothing"):
        answer = await local.http.get(path, params={"after": "nothing"})
        assert answer.status_code in (400, 404)
    unknown = await local.http.post(f"{PATH}/{conversation}/items?page=2", json={"items": [HELLO]})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "page")


async def test_a_conversation_has_at_most_so_many_items(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = await made(local)
    for _ in range(3):
        added = await local.http.post(f"{PATH}/{conversation}/items", json={"items": [HELLO] * MOST.added_items})
        assert added.status_code == 200
    monkeypatch.setattr("deployments.responses.conversations.MOST", replace(MOST, conversation_items=60))
    full = await local.http.post(f"{PATH}/{conversation}/items", json={"items": [HELLO]})
    asked = await local.http.post("/v1/responses", json=body(conversation=conversation))
    for answer in (full, asked):
        assert answer.status_code == 400
        assert "at most 60" in answer.json()["error"]["message"]


@dataclass(frozen=True)
class Tenants:
    one: openai.AsyncOpenAI
    other: openai.AsyncOpenAI


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenants(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    root: Path = tmp_path_factory.mktemp("tenants")
    keys = root / "keys.json"
    names = ("one", "other")
    records = [{"id": n, "sha256": hash_key(n), "tenant": n, "scopes": ["generate"]} for n in names]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(adapters={"state_dir": str(root / "state")}, router={"enabled": False})
    async with application(args, keys=keys) as (app, _), listening(app) as url:
        one, other = (openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=name, max_retries=0) for name in names)
        async with one, other:
            yield Tenants(one, other)


async def test_one_that_is_deleted_in_the_middle_of_an_answer_costs_no_answer(tenants: Tenants) -> None:
    conversation = (await tenants.one.conversations.create()).id
    stream = await tenants.one.responses.create(
        model=BASE_ID, input=ASK, max_output_tokens=300, stream=True, conversation=conversation
    )
    seen = 0
    async for event in stream:
        if event.type == "response.created":
            await tenants.one.conversations.delete(conversation)
        seen += event.type == "response.output_text.delta"
        if event.type in ("response.completed", "response.incomplete"):
            assert event.response.to_dict()["store"] is False
    assert seen > 0
    with pytest.raises(openai.NotFoundError):
        await tenants.one.conversations.retrieve(conversation)


async def test_another_tenant_finds_nothing(tenants: Tenants) -> None:
    made = await tenants.one.conversations.create(items=[HELLO])  # type: ignore[list-item]
    strange = tenants.other.conversations
    attempts = (
        strange.retrieve(made.id),
        strange.delete(made.id),
        strange.update(made.id, metadata={"a": "b"}),
        strange.items.create(made.id, items=[HELLO]),  # type: ignore[list-item]
    )
    for attempt in attempts:
        with pytest.raises(openai.NotFoundError):
            await attempt
    with pytest.raises(openai.BadRequestError) as refusal:
        await tenants.other.responses.create(model=BASE_ID, input="a", max_output_tokens=4, conversation=made.id)
    assert refusal.value.code == "unknown_conversation"
    assert (await tenants.one.conversations.retrieve(made.id)).id == made.id


async def test_conversations_survive_a_restart_and_expire_after_their_last_change(world: World, tmp_path: Path) -> None:
    state: dict[str, Any] = {"adapters": {"state_dir": str(tmp_path / "state")}, "router": {"enabled": False}}
    async with running(world.settings(**state)) as (http, _):
        conversation = (await http.post(PATH, json={"items": [HELLO]})).json()["id"]
        assert (await http.post("/v1/responses", json=body(conversation=conversation))).status_code == 200
    async with running(world.settings(**state, objects={"conversation_ttl_s": 1})) as (http, _):
        assert len(await items_of(http, conversation)) == 3
        assert (await http.post("/v1/responses", json=body(conversation=conversation))).status_code == 200

        async def is_gone() -> bool:
            return (await http.get(f"{PATH}/{conversation}")).status_code == 404

        await eventually(is_gone)
        answer = await http.post("/v1/responses", json=body(conversation=conversation))
        assert answer.json()["error"]["code"] == "unknown_conversation"


async def test_a_flood_ends_at_the_quota_and_answers_are_given_all_the_same(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        router={"enabled": False},
        objects={"max_tenant_bytes": 4000, "max_object_bytes": 4000},
    )
    async with running(args) as (http, _):
        conversation = (await http.post(PATH, json={})).json()["id"]
        answers = [await http.post(PATH, json={"items": [HELLO] * 4}) for _ in range(8)]
        assert answers[0].status_code == 200
        assert answers[-1].json()["error"]["code"] == "quota_full"
        answer = await http.post("/v1/responses", json=body(conversation=conversation, input="x" * 2000))
        assert (answer.status_code, answer.json()["store"]) == (200, False)
        assert await items_of(http, conversation) == []
