"""Conversations that are longer than the context: what ``truncation: auto`` keeps, tells, and leaves cached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.errors import AdaptrixError
from tests.serving.conftest import Local
from tests.serving.inprocess import running
from tests.serving.responses import strictly
from tests.serving.responses.test_create import PATH, body, chat, said, text_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

FACT = "My zebra is called Quackers."
ASKED = "What is my zebra called?"
FILLER = "the quick brown fox jumps over the lazy dog and the stop comes late " * 16


def filler(number: int) -> str:
    return f"{number} {FILLER}"


async def talk(local: Local, turns: int, **fields: Any) -> list[dict[str, Any]]:
    """A fact and then other things, each a turn of one conversation."""
    told = [await said(local, input=FACT, truncation="auto", **fields)]
    for number in range(turns):
        previous = told[-1]["id"]
        told.append(await said(local, input=filler(number), previous_response_id=previous, truncation="auto", **fields))
    return told


def memory(response: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = response.get("adaptrix", {}).get("memory", {})
    return told


async def test_a_conversation_goes_on_beyond_the_context_and_recalls_what_is_asked_for(local: Local) -> None:
    told = await talk(local, 14)
    last = told[-1]
    assert memory(last)["left_out"]
    again = await said(local, input=ASKED, previous_response_id=last["id"], truncation="auto")
    items = (await local.http.get(f"{PATH}/{told[0]['id']}/input_items")).json()["data"]
    fact = items[0]["id"]
    assert fact in memory(last)["left_out"]
    assert memory(again)["recalled"] == [fact]
    assert fact not in memory(again)["left_out"]
    assert memory(again)["relevance"] in ("embedding", "words")
    assert strictly.response(again).output_text == text_of(again)


async def test_turns_that_are_kept_are_those_of_the_chat_without_the_others(local: Local) -> None:
    told = await talk(local, 12)
    last = await said(local, input=ASKED, previous_response_id=told[-1]["id"], truncation="auto")
    items = (await local.http.get(f"{PATH}/{last['id']}/input_items", params={"order": "asc", "limit": 100})).json()[
        "data"
    ]
    left_out, messages, is_kept = set(memory(last)["left_out"]), [], True
    for item in items:
        is_kept = item["id"] not in left_out if item["role"] == "user" else is_kept
        if is_kept:
            messages.append({"role": item["role"], "content": item["content"][0]["text"]})
    assert left_out
    assert text_of(last) == (await chat(local, messages))["choices"][0]["message"]["content"]


async def test_between_two_prunings_a_prompt_finds_its_beginning_in_the_cache(local: Local) -> None:
    told = await talk(local, 24)
    changed = 0
    for before, now in pairwise(told):
        if set(memory(now).get("left_out", ())) != set(memory(before).get("left_out", ())):
            changed += 1
        elif before["usage"]["input_tokens"] > 200:
            cached = now["usage"]["input_tokens_details"]["cached_tokens"]
            assert cached > 0.9 * before["usage"]["input_tokens"]
    assert 1 <= changed <= 24 // 3


async def test_without_auto_a_conversation_that_is_too_long_is_refused(local: Local) -> None:
    told = await talk(local, 12)
    refused = await local.http.post(PATH, json=body(input=FILLER * 2, previous_response_id=told[-1]["id"]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_a_question_that_is_too_long_loses_its_beginning_and_the_answer_says_so(local: Local) -> None:
    first = await said(local, input=FACT)
    answer = await said(local, input=FILLER * 40, previous_response_id=first["id"], truncation="auto")
    assert memory(answer)["question_is_cut"] is True
    assert len(memory(answer)["left_out"]) == 1


async def test_a_conversation_that_is_sent_whole_is_shortened_too(local: Local) -> None:
    said_before = [FACT, *map(filler, range(14))]
    items = [
        {"role": role, "content": text} for one in said_before for role, text in (("user", one), ("assistant", "ok"))
    ]
    answer = await said(local, input=[*items, {"role": "user", "content": ASKED}], truncation="auto")
    assert memory(answer)["left_out"]
    told = (await local.http.get(f"{PATH}/{answer['id']}/input_items", params={"order": "asc"})).json()["data"]
    assert told[0]["id"] not in memory(answer)["left_out"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def without_router(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    state: Path = tmp_path_factory.mktemp("state")
    async with running(world.settings(adapters={"state_dir": str(state)}, router={"enabled": False})) as (http, _):
        yield http


async def test_without_an_embedder_words_are_compared(without_router: httpx.AsyncClient) -> None:
    answer: dict[str, Any] = (await without_router.post(PATH, json=body(input=FACT, truncation="auto"))).json()
    for text in [*map(filler, range(12)), ASKED]:
        asked = body(input=text, previous_response_id=answer["id"], truncation="auto")
        answer = (await without_router.post(PATH, json=asked)).json()
    assert memory(answer)["relevance"] == "words"
    assert len(memory(answer)["recalled"]) == 1


async def test_an_embedder_that_fails_costs_no_answer(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    told = await talk(local, 12)

    async def gone(*_: object) -> None:
        raise AdaptrixError("the router is gone")

    monkeypatch.setattr("tests.serving.inprocess.LocalRouter.embed", gone)
    answer = await said(local, input=ASKED, previous_response_id=told[-1]["id"], truncation="auto")
    assert memory(answer)["relevance"] == "words"
