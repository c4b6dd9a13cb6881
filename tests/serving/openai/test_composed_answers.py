"""Sequences and votes over HTTP are the requests made by hand, whole and streamed, with one account of usage."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from adaptrix_core.composition.ballots import Ballot, winner_of
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.stated_answer import answer_of
from deployments.generation.composed_call import composed
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline
from deployments.shared.errors import ReplicaLost
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.conftest import BASE_ID, Local

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
COMMON: dict[str, Any] = {"max_tokens": 6, "temperature": 1, "seed": 7, "ignore_eos": True}
STEPS = {"sequential": ["math_reasoning", "code_generation"], "plan": ["What is 2 + 3?", "Write {0} as code."]}
VOTE = {"parallel": {"math_reasoning": 1, "code_generation": 2}, "combine": "vote", "samples": 2}


def messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]


async def ask(local: Local, question: str = "Which?", path: str = CHAT, model: str = BASE_ID, **fields: Any) -> Any:
    prompt = {"messages": messages(question)} if path == CHAT else {"prompt": question}
    answer = await local.http.post(path, json={"model": model, **prompt, **COMMON, **fields})
    assert answer.status_code == 200, answer.text
    return answer


def text_of(choice: dict[str, Any]) -> str:
    return choice["message"]["content"] if "message" in choice else choice["text"]


async def by_hand(local: Local, path: str) -> list[dict[str, Any]]:
    """The two steps as two requests."""
    first = (await ask(local, "What is 2 + 3?", path, "math_reasoning")).json()
    said = answer_of(text_of(first["choices"][0]))
    return [first, (await ask(local, f"Write {said} as code.", path, "code_generation")).json()]


def events_of(streamed: Any) -> list[dict[str, Any]]:
    assert streamed.text.endswith("data: [DONE]\n\n")
    return [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_sequence_is_its_steps_asked_by_hand(local: Local, path: str) -> None:
    hand = await by_hand(local, path)
    composed = await ask(local, "ignored", path, adaptrix={"compose": STEPS})
    document = composed.json()
    (choice,) = document["choices"]
    assert text_of(choice) == text_of(hand[1]["choices"][0])
    first = {"adapter": "math_reasoning", "text": text_of(hand[0]["choices"][0])}
    assert choice["adaptrix"]["steps"] == [first]
    assert composed.headers["x-adaptrix-adapter"] == document["model"] == "sequential(math_reasoning,code_generation)"
    usage = document["usage"]
    assert usage["prompt_tokens"] == sum(one["usage"]["prompt_tokens"] for one in hand)
    assert (usage["completion_tokens"], usage["completion_tokens_details"]) == (12, {"reasoning_tokens": 6})


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_streamed_sequence_tells_each_step_beside_the_answer(local: Local, path: str) -> None:
    whole = (await ask(local, path=path, adaptrix={"compose": STEPS})).json()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    events = events_of(await ask(local, path=path, adaptrix={"compose": STEPS}, **options))
    choices = [choice for event in events for choice in event["choices"]]
    told = [choice["adaptrix"] for choice in choices if "adaptrix" in choice]
    inner = [one for one in told if "text" in one]
    expected = whole["choices"][0]["adaptrix"]["steps"]
    assert [{"adapter": inner[0]["adapter"], "text": "".join(one["text"] for one in inner)}] == expected
    assert [one["step"] for one in told] == [0] * len(inner) + [1] * (len(told) - len(inner))
    spoken = "".join(choice.get("text") or choice.get("delta", {}).get("content", "") for choice in choices)
    assert spoken == text_of(whole["choices"][0])
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
    ours, theirs = events[-1]["usage"], whole["usage"]
    assert {**ours, "prompt_tokens_details": 0} == {**theirs, "prompt_tokens_details": 0}


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_vote_is_won_by_the_most_of_the_same_answers_made_by_hand(local: Local, path: str) -> None:
    options = {"fork": ["math_reasoning", "code_generation"], "scores": ["logprob_sum"]}
    forked = (await ask(local, path=path, n=2, adaptrix=options)).json()
    ballots = [
        Ballot(text_of(choice), choice["adaptrix"]["scores"]["logprob_sum"], 1.0 + (choice["index"] > 1))
        for choice in forked["choices"]
    ]
    wanted = ballots[winner_of(ballots)].text
    document = (await ask(local, path=path, adaptrix={"compose": VOTE})).json()
    (choice,) = document["choices"]
    assert (text_of(choice), choice["logprobs"]) == (wanted, None)
    assert (document["usage"]["completion_tokens"], document["usage"]["prompt_tokens"]) == (
        24,
        forked["usage"]["prompt_tokens"],
    )
    assert document["usage"]["completion_tokens_details"] == {"reasoning_tokens": 18}
    events = events_of(await ask(local, path=path, adaptrix={"compose": VOTE}, stream=True))
    choices = [choice for event in events for choice in event["choices"]]
    assert "".join(one.get("text") or one.get("delta", {}).get("content", "") for one in choices) == wanted


async def test_a_model_string_names_a_vote_or_a_sequence(local: Local) -> None:
    composed = (await ask(local, adaptrix={"compose": {**VOTE, "samples": 1}})).json()
    named = (await ask(local, model="vote(math_reasoning,code_generation*2)")).json()
    assert named["choices"][0]["message"] == composed["choices"][0]["message"]
    assert named["model"] == "vote(math_reasoning,code_generation*2)"
    question = "What is 2 + 3? Then add 5 to the result."
    auto = {"sequential": ["math_reasoning", "code_generation"], "plan": "auto"}
    steps = (await ask(local, question, model="sequential(math_reasoning,code_generation)")).json()
    assert steps["choices"] == (await ask(local, question, adaptrix={"compose": auto})).json()["choices"]
    assert len(steps["choices"][0]["adaptrix"]["steps"]) == 1


async def test_the_other_apis_tell_the_answer_of_the_last_step_alone(local: Local) -> None:
    whole = (await ask(local, adaptrix={"compose": STEPS})).json()["choices"][0]["message"]["content"]
    shared = {"model": BASE_ID, "temperature": 1, "seed": 7, "adaptrix": {"compose": STEPS}}
    sent = {**shared, "input": messages("Which?"), "max_output_tokens": 6, "ignore_eos": True}
    response = await local.http.post("/v1/responses", json=sent)
    if response.status_code == 400 and "ignore_eos" in response.text:
        sent.pop("ignore_eos")
        response = await local.http.post("/v1/responses", json=sent)
    assert response.status_code == 200, response.text
    assert response.json()["output"][0]["content"][0]["text"] == whole


@pytest.mark.parametrize("composition", [STEPS, VOTE])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}, "tools"),
    ],
)
async def test_what_a_composition_cannot_honour_is_refused_by_name(
    local: Local, composition: Any, fields: dict[str, Any], param: str
) -> None:
    body = {"model": BASE_ID, "messages": messages("q"), "adaptrix": {"compose": composition}, **fields}
    answer = await local.http.post(CHAT, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_unknown_adapter_of_a_later_step_is_refused_before_the_first_begins(local: Local) -> None:
    composition = {"sequential": ["math_reasoning", "code_generatio"], "plan": ["a", "b"]}
    body = {"model": BASE_ID, "messages": messages("q"), "adaptrix": {"compose": composition}}
    answer = await local.http.post(CHAT, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "adaptrix.compose")


async def test_a_schema_holds_for_the_last_step_alone(local: Local) -> None:
    free = (await ask(local, adaptrix={"compose": STEPS})).json()["choices"][0]["adaptrix"]["steps"]
    chosen = (await ask(local, adaptrix={"compose": STEPS}, structured_outputs={"choice": ["yes", "no"]})).json()
    assert chosen["choices"][0]["message"]["content"] in ("yes", "no")
    assert chosen["choices"][0]["adaptrix"]["steps"] == free


LOGITS = {"parallel": {"math_reasoning": 3, "code_generation": 1}, "combine": "logits"}


async def test_an_ensemble_answers_with_n_logprobs_and_one_prompt(local: Local) -> None:
    composed = await ask(local, adaptrix={"compose": LOGITS}, n=2, logprobs=True, top_logprobs=2)
    document = composed.json()
    assert document["model"] == "logits(math_reasoning*3,code_generation)"
    assert [len(choice["logprobs"]["content"]) for choice in document["choices"]] == [6, 6]
    one = (await ask(local)).json()["usage"]
    assert document["usage"]["prompt_tokens"] == one["prompt_tokens"]
    assert document["usage"]["completion_tokens"] == 12
    named = (await ask(local, model="logits(math_reasoning*3,code_generation)", n=2)).json()
    texts = [choice["message"]["content"] for choice in document["choices"]]
    assert [choice["message"]["content"] for choice in named["choices"]] == texts
    events = events_of(await ask(local, adaptrix={"compose": LOGITS}, n=2, stream=True))
    choices = [choice for event in events for choice in event["choices"]]
    for index in (0, 1):
        spoken = "".join(one["delta"].get("content", "") for one in choices if one["index"] == index)
        assert spoken == texts[index]
    alone = (await ask(local, model="math_reasoning", n=2, logprobs=True)).json()
    assert texts != [choice["message"]["content"] for choice in alone["choices"]] or (
        alone["choices"][0]["logprobs"] != document["choices"][0]["logprobs"]
    )


async def test_a_condition_changes_the_adapter_in_mid_answer_and_says_so(local: Local) -> None:
    rule = {"if": {"confidence_below": 1.0, "over": 2}, "then": "code_generation"}
    composition = {"conditional": [rule], "else": "math_reasoning"}
    document = (await ask(local, adaptrix={"compose": composition})).json()
    (choice,) = document["choices"]
    assert choice["adaptrix"]["changes"] == [{"after": 2, "adapter": "code_generation"}]
    assert (document["model"], choice["logprobs"]) == ("conditional(math_reasoning,code_generation)", None)
    events = events_of(await ask(local, adaptrix={"compose": composition}, stream=True))
    choices = [one for event in events for one in event["choices"]]
    assert "".join(one["delta"].get("content", "") for one in choices) == choice["message"]["content"]
    assert [one["adaptrix"]["changed_to"] for one in choices if "adaptrix" in one] == ["code_generation"]


class Losing:
    """The worker as a replica that is lost after every second message, until a call was continued three times."""

    def __init__(self, local: Local) -> None:
        self._worker = local.store.worker
        self.calls: list[GenerateCall] = []

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        self.calls.append(call)
        given = 0
        async with aclosing(self._worker.generate(call)) as stream:
            async for pieces in stream:
                for piece in pieces:
                    yield [piece]
                    given += 1
                    if given == 2 and piece.finish_reason is None and not call.request_id.endswith(".2"):
                        raise ReplicaLost("gone")


@pytest.mark.parametrize("kind", ["logits", "conditional", "steps"])
async def test_a_lost_replica_is_gone_on_from_without_a_seam(local: Local, kind: str) -> None:
    rule = {"if": {"confidence_below": 1.0, "over": 3}, "then": "code_generation"}
    composition: dict[str, Any] = {
        "logits": LOGITS,
        "conditional": {"conditional": [rule], "else": "math_reasoning"},
        "steps": STEPS,
    }[kind]
    wanted = (await ask(local, adaptrix={"compose": composition})).json()["choices"][0]
    entries = {name: local.store.catalogue.public.find(name) for name in ("math_reasoning", "code_generation")}
    part = compose(composition).called(lambda name: entries[name].bundle_digest)  # type: ignore[union-attr]
    sampling = {"n": 1, "logprobs": None, **COMMON}
    call = GenerateCall("lost", tuple(messages("Which?")), ((),), sampling, salt=b"lost")
    replicas = Losing(local)
    stream = Pipeline(replicas, lambda: None).open([composed(call, part, Deadline(None))], Deadline(None))
    found = [piece async for pieces in stream for piece in pieces]
    assert "".join(piece.text for piece in found if not piece.is_inner) == wanted["message"]["content"]
    assert len([piece for piece in found if piece.finish_reason]) == 1
    assert len(replicas.calls) == (6 if kind == "steps" else 3)
    changes = [piece.switched_to for piece in found if piece.switched_to is not None]
    assert changes == ([0] if kind == "conditional" else [])


async def test_leaving_ends_the_step_that_runs_and_no_other_begins(local: Local) -> None:
    entries = {name: local.store.catalogue.public.find(name) for name in ("math_reasoning", "code_generation")}
    part = compose(STEPS).called(lambda name: entries[name].bundle_digest)  # type: ignore[union-attr]
    sampling = {"n": 1, "logprobs": None, **COMMON, "max_tokens": 40}
    call = GenerateCall("left", tuple(messages("Which?")), ((),), sampling, salt=b"")
    replicas = Losing(local)
    stream = Pipeline(replicas, lambda: None).open([composed(call, part, Deadline(None))], Deadline(None))
    await anext(stream)
    await stream.aclose()
    assert [pieces async for pieces in stream] == []
    assert len(replicas.calls) == 1
