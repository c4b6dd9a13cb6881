"""A composition whose question decides who begins: over HTTP it answers as the mix that the question is for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.sampling import SamplingDefaults
from deployments.generation import continue_elsewhere
from deployments.generation.ports import Replicas
from deployments.shared.entry import Refusal
from deployments.shared.errors import ReplicaLost
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.compositions import write
from tests.serving.conftest import BASE_ID
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import CARDS, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}
MIX: dict[str, Any] = {"parallel": {"math_reasoning": 0.7, "logical_reasoning": 0.3}}
BY_QUESTION: dict[str, Any] = {
    "conditional": [
        {"if": {"confidence_below": 1.0, "over": 9}, "then": None},
        {"if": {"about": "math_reasoning"}, "then": MIX},
        {"if": {"about": "code_generation"}, "then": "code_generation"},
    ],
    "else": "logical_reasoning",
}
EXAMPLES = {name: examples[0] for name, _, examples in CARDS}
QUESTIONS: dict[str, tuple[Any, str]] = {
    EXAMPLES["math_reasoning"]: (MIX, "math_reasoning*0.7+logical_reasoning*0.3"),
    EXAMPLES["code_generation"]: ("code_generation", "code_generation"),
    "Tell me a bedtime story about a sleepy hedgehog.": ("logical_reasoning", ""),
}


OTHERS: dict[str, dict[str, Any]] = {
    "silent": {},
    "greedy": {
        "sampling": SamplingDefaults(temperature=0.0),
        "routing_examples": ("Name the capital of France.", "Name the longest river of Africa."),
    },
}


class Losing:
    """The worker as a replica that is lost after two pieces, until a call was continued twice."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.is_on = False
        self.calls: list[GenerateCall] = []

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        self.calls.append(call)
        given = 0
        async with aclosing(self._store.worker.generate(call)) as stream:
            async for pieces in stream:
                for piece in pieces:
                    yield [piece]
                    given += 1
                    if self.is_on and given == 2 and piece.finish_reason is None and not call.request_id.endswith(".2"):
                        raise ReplicaLost("gone")


Parts = tuple[httpx.AsyncClient, LocalStore, Losing]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parts(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    root = tmp_path_factory.mktemp("by-question")
    made: list[Losing] = []

    def replicas_of(store: LocalStore) -> Replicas:
        made.append(Losing(store))
        return made[0]

    args = world.settings(adapters={"state_dir": str(root / "state")}, router={"enabled": False}, engine={"cut": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTRIX_CACHE", str(root / "cache"))
        patch.setattr(continue_elsewhere, "FIRST_PAUSE_S", 1e-3)
        async with running(args, replicas_of=replicas_of) as (http, store):
            published = await publish(http, write(world, world.shipped, "asks", BY_QUESTION, root / "asks"))
            assert published.status_code == 201, published.text
            for name, fields in OTHERS.items():
                published = await publish(http, world.write_adapter(root, name, 31 + len(name), **fields))
                assert published.status_code == 201, published.text
            yield http, store, made[0]


async def ask(parts: Parts, question: str, composition: Any, model: str = BASE_ID, **fields: Any) -> httpx.Response:
    if composition is not None and model == BASE_ID:
        fields["adaptrix"] = {"compose": composition}
    messages = [{"role": "user", "content": question}]
    return await parts[0].post("/v1/chat/completions", json={**ASK, "model": model, "messages": messages, **fields})


def named(who: Any) -> dict[str, Any]:
    """Who answers, said outright, with the rule that holds later."""
    return {"conditional": BY_QUESTION["conditional"][:1], "else": who}


def choice_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [choice for line in lines for choice in json.loads(line)["choices"]]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("model", [BASE_ID, "asks"])
async def test_it_answers_as_the_mix_named_outright(parts: Parts, question: str, model: str) -> None:
    who, label = QUESTIONS[question]
    wanted = choice_of(await ask(parts, question, named(who)))
    found = choice_of(await ask(parts, question, BY_QUESTION, model))
    assert found["message"] == wanted["message"]
    begun = [{"after": 0, "adapter": label}] if label else []
    assert found["adaptrix"]["changes"] == [*begun, *wanted["adaptrix"]["changes"]]


async def test_the_mixes_answer_differently(parts: Parts) -> None:
    for question in QUESTIONS:
        answers = [
            choice_of(await ask(parts, question, named(who)))["message"]["content"] for who, _ in QUESTIONS.values()
        ]
        assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_stream_tells_who_begins_with_its_first_text(parts: Parts, question: str) -> None:
    who, label = QUESTIONS[question]
    wanted = choice_of(await ask(parts, question, named(who)))["message"]["content"]
    said = [
        one
        for one in events_of(await ask(parts, question, BY_QUESTION, stream=True))
        if "adaptrix" in one or one["delta"].get("content")
    ]
    assert "".join(one["delta"].get("content", "") for one in said) == wanted
    told = [one["adaptrix"]["changed_to"] for one in said if "adaptrix" in one]
    assert told == ([label] if label else []) + ["base"]
    assert ("adaptrix" in said[0]) == bool(label)


async def test_every_choice_of_a_prompt_begins_so_and_tells_it(parts: Parts) -> None:
    question, (who, label) = next(iter(QUESTIONS.items()))
    several = {"n": 3, "temperature": 1, "seed": 5}
    wanted = (await ask(parts, question, named(who), **several)).json()["choices"]
    found = (await ask(parts, question, BY_QUESTION, **several)).json()["choices"]
    assert [one["message"] for one in found] == [one["message"] for one in wanted]
    assert [one["adaptrix"]["changes"][0] for one in found] == [{"after": 0, "adapter": label}] * 3


async def test_the_adapter_that_begins_says_how_it_is_sampled(parts: Parts) -> None:
    composition = {"conditional": [{"if": {"about": "greedy"}, "then": "greedy"}], "else": "math_reasoning"}
    for question, who in (("Name the capital of France.", "greedy"), ("x", "math_reasoning")):
        sampled = {"temperature": None, "seed": 5}
        wanted = choice_of(await ask(parts, question, None, who, **sampled))
        other = choice_of(await ask(parts, question, None, who, **{**sampled, "seed": 6}))
        assert choice_of(await ask(parts, question, composition, **sampled))["message"] == wanted["message"]
        assert (wanted == other) == (who == "greedy")


async def test_one_that_takes_over_later_does_not_say_how_the_answer_is_sampled(parts: Parts) -> None:
    composition = {"conditional": [{"if": {"marker": "\n\n\n"}, "then": "greedy"}], "else": "math_reasoning"}
    sampled = {"temperature": None, "seed": 5}
    wanted = choice_of(await ask(parts, "x", None, "math_reasoning", **sampled))
    assert choice_of(await ask(parts, "x", composition, **sampled))["message"] == wanted["message"]


async def test_each_step_of_a_sequence_asks_its_own_question(parts: Parts) -> None:
    (first, (one, _)), (second, (other, label)), _ = QUESTIONS.items()
    plan = [first, second]
    wanted = choice_of(await ask(parts, "Go.", {"sequential": [named(one), named(other)], "plan": plan}))
    found = choice_of(await ask(parts, "Go.", {"sequential": [BY_QUESTION, BY_QUESTION], "plan": plan}))
    assert found["message"] == wanted["message"]
    assert [step["text"] for step in found["adaptrix"]["steps"]] == [s["text"] for s in wanted["adaptrix"]["steps"]]
    assert found["adaptrix"]["changes"][0] == {"after": 0, "adapter": label}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("model", [BASE_ID, "asks"])
async def test_a_lost_replica_is_gone_on_from_as_it_began(parts: Parts, question: str, model: str) -> None:
    wanted = choice_of(await ask(parts, question, BY_QUESTION, model))
    losing = parts[2]
    losing.calls.clear()
    losing.is_on = True
    try:
        found = choice_of(await ask(parts, question, BY_QUESTION, model))
    finally:
        losing.is_on = False
    assert found == wanted
    label = QUESTIONS[question][1]
    rules = {mix: number for number, mix in enumerate([one[1] for one in QUESTIONS.values() if one[1]], start=1)}
    assert [call.began for call in losing.calls] == [None, *[rules.get(label)] * 2]


@pytest.mark.parametrize(
    ("rule", "status", "code", "message"),
    [
        ("silent", 400, "invalid_request", "'silent', which has neither a description nor routing examples"),
        ("math_raesoning", 404, "model_not_found", "math_reasoning"),
        (7, 400, "invalid_request", "about is 7; it must be the name of an adapter"),
    ],
)
async def test_what_cannot_be_asked_about_is_refused(
    parts: Parts, rule: Any, status: int, code: str, message: str
) -> None:
    refused = await ask(parts, "x", {"conditional": [{"if": {"about": rule}, "then": None}], "else": None})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (status, code, "adaptrix.compose")
    assert message in error["message"]


async def test_the_base_model_answers_for_one_that_cannot_be_asked_about_where_that_is_allowed(parts: Parts) -> None:
    store = parts[1]
    entry = store.catalogue.public.find("greedy")
    assert entry is not None
    composition = {"conditional": [{"if": {"about": "greedy"}, "then": "math_reasoning"}], "else": "code_generation"}
    refused = store.worker.holdings._refused
    refused[entry.bundle_digest] = Refusal("adapter_rejected", "this replica's copy is broken")
    try:
        error = await ask(parts, "x", composition)
        body = {"compose": composition, "fallback": "base"}
        answer = await ask(parts, "x", None, adaptrix=body)
        wanted = await ask(parts, "x", None)
    finally:
        store.worker.holdings._refused.pop(entry.bundle_digest, None)  # syncing may have made another dictionary
    assert (error.status_code, error.json()["error"]["code"]) == (422, "adapter_rejected")
    assert answer.headers["x-adaptrix-adapter"] == "base"
    assert "this replica's copy is broken" in answer.headers["x-adaptrix-fallback"]
    assert choice_of(answer)["message"] == choice_of(wanted)["message"]


async def test_a_vote_holds_no_such_part(parts: Parts) -> None:
    refused = await ask(parts, "x", {"parallel": ["math_reasoning", BY_QUESTION], "combine": "vote"})
    assert refused.status_code == 400
    assert "cannot hold a part that is conditional by question" in refused.json()["error"]["message"]


async def test_a_prompt_whose_turns_are_not_found_is_answered_by_else(parts: Parts) -> None:
    question = EXAMPLES["math_reasoning"]
    cut = {"truncate_prompt_tokens": 9}
    wanted = choice_of(await ask(parts, question, named("logical_reasoning"), **cut))
    assert choice_of(await ask(parts, question, BY_QUESTION, **cut))["message"] == wanted["message"]


async def test_a_server_without_a_cut_says_so(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine={"cut": 0})
    async with running(args) as (http, store):
        refused = await ask((http, store, Losing(store)), "x", BY_QUESTION)
    assert refused.status_code == 400, refused.text
    assert "this engine has no cut" in refused.json()["error"]["message"]
