"""``model: auto`` with ``adaptrix.plan``: a compound question is a sequence of routed steps, others are as before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local
from tests.serving.openai.test_composed_answers import CHAT, TEXT, ask, events_of, text_of

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
