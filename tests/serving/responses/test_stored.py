"""Stored responses: a next turn by id, read again, listed, deleted, and seen by their tenant alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai.types.responses.response_item_list import ResponseItemList

from deployments.callers.key_file import hash_key
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import application, listening, running
from tests.serving.responses import strictly
from tests.serving.responses.test_create import ASK, PATH, body, chat, said, text_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "The quick brown fox jumps over the lazy dog. " * 8


async def refused(local: Local, status: int = 400, **fields: Any) -> dict[str, Any]:
    answer = await local.http.post(PATH, json=body(**fields))
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def test_a_next_turn_is_the_whole_conversation(local: Local) -> None:
    first = await said(local, input=LONG, instructions="Be short.")
    second = await said(local, input=ASK, previous_response_id=first["id"], instructions="Be long.")
    third = await said(local, input="go on", previous_response_id=second["id"])
    same = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": text_of(first)},
        {"role": "user", "content": ASK},
    ]
    expected = await chat(local, [{"role": "system", "content": "Be long."}, *same])
    assert text_of(second) == expected["choices"][0]["message"]["content"]
    assert second["previous_response_id"] == first["id"]
    last = [*same, {"role": "assistant", "content": text_of(second)}, {"role": "user", "content": "go on"}]
    assert text_of(third) == (await chat(local, last))["choices"][0]["message"]["content"]


async def test_a_next_turn_finds_its_keys_and_values(local: Local) -> None:
    first = await said(local, input=LONG + "unlike others")
    second = await said(local, input="go on", previous_response_id=first["id"])
    cached = second["usage"]["input_tokens_details"]["cached_tokens"]
    assert first["usage"]["input_tokens"] // 2 < cached <= second["usage"]["input_tokens"]


async def test_a_streamed_response_can_be_gone_on_from_as_soon_as_it_says_that_it_is_complete(local: Local) -> None:
    stream = await local.openai.responses.create(model=BASE_ID, input=ASK, max_output_tokens=4, stream=True)
    async for event in stream:
        if event.type in ("response.completed", "response.incomplete"):
            document = await said(local, input="go on", previous_response_id=event.response.id)
            assert document["previous_response_id"] == event.response.id
            return
    pytest.fail("the stream has no end")


async def test_the_client_reads_lists_and_deletes(local: Local) -> None:
    client = local.openai.responses
    made = await client.create(model=BASE_ID, input=ASK, max_output_tokens=4, metadata={"a": "b"})
    again = await client.create(model=BASE_ID, input="go on", max_output_tokens=4, previous_response_id=made.id)
    found = await client.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    items = [item async for item in client.input_items.list(again.id, limit=2)]
    assert [item.role for item in items] == ["user", "assistant", "user"]  # type: ignore[union-attr]
    assert items[1].id == made.output[0].id
    raw = (await local.http.get(f"{PATH}/{again.id}/input_items", params={"order": "asc"})).json()
    assert strictly.unknown_members(ResponseItemList.model_validate(raw)) == []
    assert [item["id"] for item in raw["data"]] == [item.id for item in reversed(items)]
    await client.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.retrieve(made.id)
    assert (await client.retrieve(again.id)).id == again.id
    later = await client.create(model=BASE_ID, input="and", max_output_tokens=4, previous_response_id=again.id)
    assert later.usage.input_tokens > again.usage.input_tokens  # type: ignore[union-attr]


async def test_what_is_not_stored_is_not_found(local: Local) -> None:
    answer = await said(local, store=False)
    assert answer["store"] is False
    for gone in (answer["id"], "resp_" + "0" * 32, "'; drop table objects", "a" * 128):
        error = await refused(local, input="go on", previous_response_id=gone)
        assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
        for method in ("GET", "DELETE"):
            got = await local.http.request(method, f"{PATH}/{gone}")
            assert (got.status_code, got.json()["error"]["code"]) == (404, "object_not_found")
    assert (await refused(local, input="go on", previous_response_id="a" * 129))["param"] == "previous_response_id"


async def test_items_are_found_by_their_ids(local: Local) -> None:
    first = await said(local, input=LONG)
    turn = [{"role": "user", "content": LONG}, {"type": "item_reference", "id": first["output"][0]["id"]}]
    second = await said(local, input=[*turn, {"role": "user", "content": ASK}])
    by_id = await said(local, input=ASK, previous_response_id=first["id"])
    assert text_of(second) == text_of(by_id)
    for wrong in ("msg_1_0", f"msg_{first['id'].removeprefix('resp_')}_7", "rs_abc", "_" * 10):
        error = await refused(local, input=[*turn, {"id": wrong}])
        assert (error["code"], error["param"]) == ("item_not_found", "input")
    many = [{"type": "item_reference", "id": f"msg_{number}_0"} for number in range(1000)]
    assert (await refused(local, input=many))["code"] == "item_not_found"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "nothing"}, "after"),
    ],
)
async def test_lists_of_items_refuse_by_name(local: Local, query: dict[str, str], param: str) -> None:
    made = await said(local)
    answer = await local.http.get(f"{PATH}/{made['id']}/input_items", params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_stored_response_is_not_streamed(local: Local) -> None:
    made = await said(local)
    answer = await local.http.get(f"{PATH}/{made['id']}", params={"stream": "true"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")
    assert (await local.http.get(f"{PATH}/{made['id']}", params={"stream": "false"})).status_code == 200


async def test_a_conversation_is_as_long_as_a_request(local: Local) -> None:
    items = [{"role": "user", "content": "a"}] * 1000
    first = await said(local, input=items, truncation="auto")
    more = await refused(local, input=items, previous_response_id=first["id"], truncation="auto")
    assert more["param"] == "input"
    assert "2001 messages" in more["message"]
    assert (await refused(local, input=[{"role": "user", "content": "a"}] * 1025))["param"] == "input"


@dataclass(frozen=True)
class Tenants:
    one: openai.AsyncOpenAI
    other: openai.AsyncOpenAI
    http: httpx.AsyncClient
    """With the key of the one."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenants(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    root = tmp_path_factory.mktemp("tenants")
    keys = root / "keys.json"
    names = ("one", "other")
    records = [{"id": n, "sha256": hash_key(n), "tenant": n, "scopes": ["generate"]} for n in names]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(adapters={"state_dir": str(root / "state")}, router={"enabled": False})
    async with application(args, keys=keys) as (app, _), listening(app) as url:
        one, other = (openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=name, max_retries=0) for name in names)
        async with one, other, httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer one"}) as http:
            yield Tenants(one, other, http)


async def test_another_tenant_finds_nothing(tenants: Tenants) -> None:
    made = await tenants.one.responses.create(model=BASE_ID, input=ASK, max_output_tokens=4)
    strange = tenants.other.responses
    with pytest.raises(openai.NotFoundError):
        await strange.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        await strange.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await strange.input_items.list(made.id)
    with pytest.raises(openai.BadRequestError) as refusal:
        await strange.create(model=BASE_ID, input="a", max_output_tokens=4, previous_response_id=made.id)
    assert refusal.value.code == "previous_response_not_found"
    reference: Any = [{"type": "item_reference", "id": made.output[0].id}]
    with pytest.raises(openai.BadRequestError) as refusal:
        await strange.create(model=BASE_ID, input=reference, max_output_tokens=4)
    assert refusal.value.code == "item_not_found"
    assert (await tenants.one.responses.retrieve(made.id)).id == made.id


async def test_a_client_that_leaves_has_what_there_was_stored_as_cancelled(tenants: Tenants) -> None:
    asked = body(stream=True, max_output_tokens=3000)
    async with tenants.http.stream("POST", PATH, json=asked) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and "output_text.delta" in line:
                made = json.loads(line.removeprefix("data: "))["item_id"].split("_")[1]
                break

    async def is_kept() -> bool:
        return (await tenants.http.get(f"{PATH}/resp_{made}")).status_code == 200

    await eventually(is_kept)
    document = (await tenants.http.get(f"{PATH}/resp_{made}")).json()
    assert document["status"] == "cancelled"
    assert strictly.response(document).output_text
    went_on = await tenants.one.responses.create(
        model=BASE_ID, input="go on", max_output_tokens=4, previous_response_id=document["id"]
    )
    assert went_on.previous_response_id == document["id"]


async def test_an_answer_that_breaks_off_is_stored_as_failed(tenants: Tenants) -> None:
    asked = body(stream=True, max_output_tokens=3900)
    answer = await tenants.http.post(PATH, json=asked, headers={"x-request-timeout-seconds": "0.8"})
    documents = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    error, failed = documents[-2:]
    assert (strictly.event(error).code, strictly.event(failed).type) == ("deadline_exceeded", "response.failed")
    stored = await tenants.one.responses.retrieve(failed["response"]["id"])
    assert (stored.status, stored.error.code) == ("failed", "server_error")  # type: ignore[union-attr]


async def test_responses_survive_a_restart_and_expire(world: World, tmp_path: Path) -> None:
    state: dict[str, Any] = {"adapters": {"state_dir": str(tmp_path / "state")}, "router": {"enabled": False}}
    async with running(world.settings(**state)) as (http, _):
        made = (await http.post(PATH, json=body())).json()
    async with running(world.settings(**state, objects={"response_ttl_s": 1})) as (http, _):
        assert (await http.get(f"{PATH}/{made['id']}")).json() == made
        second = (await http.post(PATH, json=body(previous_response_id=made["id"]))).json()
        assert second["store"] is True

        async def is_gone() -> bool:
            return (await http.get(f"{PATH}/{second['id']}")).status_code == 404

        await eventually(is_gone)
        answer = await http.post(PATH, json=body(previous_response_id=second["id"]))
        assert answer.json()["error"]["code"] == "previous_response_not_found"


async def test_an_answer_that_cannot_be_kept_is_given_and_says_so(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        router={"enabled": False},
        objects={"max_tenant_bytes": 1500, "max_object_bytes": 1500},
    )
    async with running(args) as (http, _):
        answer = await http.post(PATH, json=body(input=LONG))
        assert (answer.status_code, answer.json()["store"]) == (200, False)
        assert (await http.get(f"{PATH}/{answer.json()['id']}")).status_code == 404
        streamed = await http.post(PATH, json=body(input=LONG, stream=True))
        last = json.loads([line for line in streamed.text.splitlines() if line.startswith("data: {")][-1][6:])
        assert last["response"]["store"] is False
