"""``model: auto`` with ``adaptrix.plan``: a compound question is a sequence of routed steps, others are as before.

The setting ``router.divide`` does so for requests that do not say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.conftest import BASE_ID, Local
from tests.serving.inprocess import running
from tests.serving.openai.test_composed_answers import CHAT, COMMON, TEXT, ask, events_of, messages, text_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST, SECOND = "What is 17 + 25?", "Write a Python function that adds {0} to a number."
QUESTION = "What is 17 + 25? Then write a Python function that adds that number to a number."
SINGLE = "Write a Python function that adds two numbers and then doubles the result."


async def routed_to(local: Local, question: str) -> str | None:
    answer = await local.http.post("/v1/route", json={"messages": [{"role": "user", "content": question}]})
    adapter: str | None = answer.json()["adapter"]
    return adapter


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_compound_question_is_a_sequence_of_routed_steps(local: Local, path: str) -> None:
    parts = [await routed_to(local, FIRST), await routed_to(local, SECOND.replace("{0}", "7"))]
    by_hand = {"compose": {"sequential": parts, "plan": [FIRST, SECOND]}}
    wanted = (await ask(local, QUESTION, path, adaptrix=by_hand)).json()
    planned = (await ask(local, QUESTION, path, "auto", adaptrix={"plan": "auto"})).json()
    assert planned["choices"] == wanted["choices"]
    assert len(planned["choices"][0]["adaptrix"]["steps"]) == 1
    assert planned["model"] == wanted["model"]
    streamed = events_of(await ask(local, QUESTION, path, "auto", adaptrix={"plan": "auto"}, stream=True))
    choices = [choice for event in streamed for choice in event["choices"]]
    spoken = "".join(choice.get("text") or choice.get("delta", {}).get("content", "") for choice in choices)
    assert spoken == text_of(wanted["choices"][0])


@pytest.mark.parametrize("question", [SINGLE, "Hello!"])
async def test_other_questions_are_answered_as_without_a_plan(local: Local, question: str) -> None:
    plain = await ask(local, question, model="auto")
    planned = await ask(local, question, model="auto", adaptrix={"plan": "auto"})
    assert planned.json()["choices"] == plain.json()["choices"]
    assert planned.headers["x-adaptrix-adapter"] == plain.headers["x-adaptrix-adapter"]


async def test_without_the_option_nothing_is_divided(local: Local) -> None:
    (choice,) = (await ask(local, QUESTION, model="auto")).json()["choices"]
    assert "steps" not in choice.get("adaptrix", {})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": BASE_ID, "adaptrix": {"plan": "auto"}}, "adaptrix.plan"),
        ({"model": "auto", "adaptrix": {"plan": "auto", "mix": {"math_reasoning": 1.0}}}, "adaptrix.plan"),
        ({"model": "auto", "adaptrix": {"plan": ["a?", "b?"]}}, "adaptrix.plan"),
        ({"model": "auto", "adaptrix": {"plan": "auto"}, "n": 2}, "n"),
    ],
)
async def test_what_contradicts_a_plan_is_refused_by_name(local: Local, fields: dict[str, Any], param: str) -> None:
    answer = await local.http.post(CHAT, json={"messages": [{"role": "user", "content": QUESTION}], **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dividing(
    world: World, embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A server that divides by its settings."""
    state: Path = tmp_path_factory.mktemp("dividing")
    settings = world.settings(adapters={"state_dir": str(state)}, router={"divide": True})
    async with running(settings, embedder) as (client, _):
        yield client


async def choices_of(http: httpx.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    answer = await http.post(CHAT, json={"model": "auto", "messages": messages(QUESTION), **COMMON, **fields})
    assert answer.status_code == 200, answer.text
    choices: list[dict[str, Any]] = answer.json()["choices"]
    return choices


async def test_by_the_setting_every_request_to_auto_is_divided_unless_it_says_otherwise(
    local: Local, dividing: httpx.AsyncClient
) -> None:
    wanted = (await ask(local, QUESTION, model="auto", adaptrix={"plan": "auto"})).json()["choices"]
    assert await choices_of(dividing) == wanted
    assert await choices_of(dividing, adaptrix={"plan": "auto"}) == wanted
    whole = (await ask(local, QUESTION, model="auto")).json()["choices"]
    assert await choices_of(dividing, adaptrix={"plan": "off"}) == whole


@pytest.mark.parametrize("fields", [{"n": 2}, {"model": BASE_ID}, {"model": BASE_ID, "adaptrix": {"plan": "off"}}])
async def test_what_cannot_go_in_steps_is_left_whole_by_the_setting(
    dividing: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    choices = await choices_of(dividing, **fields)
    assert len(choices) == fields.get("n", 1)
    assert all("steps" not in choice.get("adaptrix", {}) for choice in choices)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": QUESTION, "max_output_tokens": 16}),
        ("/v1/messages", {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 6}),
    ],
)
async def test_the_other_apis_answer_with_the_last_step(
    dividing: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await dividing.post(path, json={"model": "auto", **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-adaptrix-adapter"].startswith("sequential(")


async def test_the_explanation_shows_the_steps_and_who_answers_each(local: Local, dividing: httpx.AsyncClient) -> None:
    told = {"messages": messages(QUESTION)}
    parts = [await routed_to(local, FIRST), await routed_to(local, SECOND.replace("{0}", "7"))]
    for server, extra in ((dividing, {}), (local.http, {"plan": "auto"})):
        plan = (await server.post("/v1/route", json={**told, **extra})).json()["plan"]
        assert [(step["question"], step["adapter"]) for step in plan] == list(zip([FIRST, SECOND], parts, strict=True))
        assert all(0 <= step["score"] <= 1 and step["reason"] for step in plan)
    for server, extra in ((dividing, {"plan": "off"}), (local.http, {})):
        assert (await server.post("/v1/route", json={**told, **extra})).json()["plan"] == []
    single = {"messages": messages(SINGLE)}
    assert (await dividing.post("/v1/route", json=single)).json()["plan"] == []
