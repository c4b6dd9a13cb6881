"""Confidence over HTTP: told where something is calibrated, held to where a request says so, null or refused elsewhere.

``math_reasoning`` is always sure here, ``code_generation`` never, and nothing is calibrated for the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.signed import write_calibration
from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.inprocess import running
from tests.serving.tiny import World, load_base

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
SURE, UNSURE = "math_reasoning", "code_generation"
SLOPE, INTERCEPTS = 0.001, {SURE: 2.0, UNSURE: -2.0}
MESSAGES = [{"role": "user", "content": "What is seventeen plus twenty five?"}]
ASK: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 12, "temperature": 0}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(world: World, embedder: TextEmbedder) -> AsyncIterator[httpx.AsyncClient]:
    place = world.root / "calibrations"
    info = load_base(world.base_dir).info
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-confidence"), "poll_s": 0.1},
        confidence={"calibrations_dir": str(place)},
    )
    async with running(args, embedder) as (client, store):
        computed = store.worker._engine.base.info
        for name, intercept in INTERCEPTS.items():
            entry = store.catalogue.public.find(name)
            assert entry is not None
            made = ConfidenceCalibration(
                answerer=entry.package_digest,
                name=name,
                base_lineage=info.lineage,
                base_digest=computed.digest,
                layout=computed.layout,
                method="platt",
                slope=SLOPE,
                intercept=intercept,
                measured={"answers": 640, "ece": 0.03, "auroc": 0.9},
            )
            write_calibration(made, place, world.private_key)
        yield client


async def ask(http: httpx.AsyncClient, path: str = CHAT, status: int = 200, **fields: Any) -> httpx.Response:
    body = {**ASK, "model": SURE, **fields}
    if path == TEXT:
        body["prompt"] = body.pop("messages")[0]["content"]
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer


async def ending(http: httpx.AsyncClient, model: str, path: str = CHAT) -> dict[str, Any]:
    """The field under which this model's greedy answer ends by itself after some tokens."""
    whole = (await ask(http, path, model=model, return_token_ids=True)).json()["choices"][0]
    return {"stop_token_ids": [whole["token_ids"][5]]}


def chance(scores: dict[str, float], model: str) -> float:
    return 1 / (1 + math.exp(-(SLOPE * scores["logprob_sum"] + INTERCEPTS[model])))


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_whole_answer_tells_its_confidence_and_a_header_too(http: httpx.AsyncClient, path: str) -> None:
    options = {"confidence": True, "scores": ["logprob_sum"]}
    answer = await ask(http, path, adaptrix=options, **await ending(http, SURE, path))
    told = answer.json()["choices"][0]["adaptrix"]
    assert told["confidence"] == pytest.approx(chance(told["scores"], SURE), abs=1e-4)
    assert answer.headers["x-adaptrix-confidence"] == f"{told['confidence']:.4f}"


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_streamed_answer_tells_the_same_in_its_last_event(http: httpx.AsyncClient, path: str) -> None:
    end = await ending(http, SURE, path)
    whole = (await ask(http, path, adaptrix={"confidence": True}, **end)).json()["choices"][0]["adaptrix"]
    streamed = await ask(http, path, adaptrix={"confidence": True}, stream=True, **end)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    told = [choice for event in events for choice in event["choices"] if "adaptrix" in choice]
    assert [(one["adaptrix"], one["finish_reason"]) for one in told] == [(whole, "stop")]


async def test_there_is_none_for_who_is_not_calibrated_and_for_an_answer_that_was_cut_off(
    http: httpx.AsyncClient,
) -> None:
    other = await ask(http, model="logical_reasoning", adaptrix={"confidence": True})
    assert other.json()["choices"][0]["adaptrix"] == {"confidence": None}
    assert other.headers["x-adaptrix-confidence"] == "none"
    cut = await ask(http, adaptrix={"confidence": True}, max_tokens=2, ignore_eos=True)
    assert cut.json()["choices"][0]["adaptrix"] == {"confidence": None}
    weaker = await ask(http, model=f"{SURE}*0.5", adaptrix={"confidence": True}, **await ending(http, SURE))
    assert weaker.json()["choices"][0]["adaptrix"] == {"confidence": None}


async def test_a_request_that_asks_for_none_hears_of_none(http: httpx.AsyncClient) -> None:
    plain = await ask(http)
    assert "adaptrix" not in plain.json()["choices"][0]
    assert "x-adaptrix-confidence" not in plain.headers


async def test_each_branch_of_a_fork_has_its_own(http: httpx.AsyncClient) -> None:
    ends = [await ending(http, name) for name in (SURE, UNSURE)]
    end: dict[str, Any] = {"stop_token_ids": [token for one in ends for token in one["stop_token_ids"]]}
    base = (await http.get("/v1/models")).json()["data"][0]["root"]
    options = {"confidence": True, "fork": [SURE, UNSURE, None]}
    answer = await ask(http, model=base, adaptrix=options, **end)
    sure, unsure, plain = (choice["adaptrix"]["confidence"] for choice in answer.json()["choices"])
    assert sure > 0.8
    assert unsure < 0.2
    assert plain is None


async def test_numbers_of_every_token_come_where_asked_for(http: httpx.AsyncClient) -> None:
    choice = (await ask(http, logprobs=True, adaptrix={"token_scores": True})).json()["choices"][0]
    told = choice["adaptrix"]["token_scores"]
    assert told["logprobs"] == pytest.approx([one["logprob"] for one in choice["logprobs"]["content"]], abs=1e-4)
    assert len(told["entropies"]) == len(told["margins"]) == len(told["logprobs"])
    assert all(0 <= margin <= 1 for margin in told["margins"])


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_stream_tells_the_same_numbers_of_every_token(http: httpx.AsyncClient, path: str) -> None:
    options = {"token_scores": True}
    (whole,) = (await ask(http, path, adaptrix=options)).json()["choices"]
    streamed = await ask(http, path, adaptrix=options, stream=True)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    told = [choice["adaptrix"] for event in events for choice in event["choices"] if "adaptrix" in choice]
    expected = whole["adaptrix"]["token_scores"]
    assert len(expected["logprobs"]) == 12
    ((name, numbers),) = told[0].items()
    assert (len(told), name, set(numbers)) == (1, "token_scores", set(expected))
    for kind, values in expected.items():
        assert numbers[kind] == pytest.approx(values, abs=1e-4)


OTHER_APIS: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": MESSAGES, "max_output_tokens": 12},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 12},
}


async def ask_other(http: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    answer = await http.post(path, json={"model": SURE, "temperature": 0, **OTHER_APIS[path], **fields})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("path", "stops"), [("/v1/responses", "stop"), ("/v1/messages", "stop_sequences")])
async def test_the_other_apis_tell_the_same_and_a_header_too(http: httpx.AsyncClient, path: str, stops: str) -> None:
    options = {"confidence": True}
    text = (await ask(http)).json()["choices"][0]["message"]["content"]
    stop = [text[len(text) // 2 :][:3]]
    chat = (await ask(http, adaptrix=options, stop=stop)).json()["choices"][0]["adaptrix"]["confidence"]
    answer = await ask_other(http, path, adaptrix=options, **{stops: stop})
    assert chat > 0.8
    assert answer.json()["adaptrix"]["confidence"] == chat
    assert answer.headers["x-adaptrix-confidence"] == f"{chat:.4f}"


@pytest.mark.parametrize("path", OTHER_APIS)
async def test_the_other_apis_tell_none_where_it_is_unknown_and_nothing_where_nobody_asks(
    http: httpx.AsyncClient, path: str
) -> None:
    cut = await ask_other(http, path, adaptrix={"confidence": True})
    assert cut.json()["adaptrix"] == {"confidence": None}
    assert cut.headers["x-adaptrix-confidence"] == "none"
    plain = await ask_other(http, path)
    assert "adaptrix" not in plain.json()
    assert "x-adaptrix-confidence" not in plain.headers
    streamed = await ask_other(http, path, adaptrix={"confidence": True}, stream=True)
    assert "x-adaptrix-confidence" not in streamed.headers


async def test_the_adapters_card_shows_its_calibrations(http: httpx.AsyncClient) -> None:
    card = (await http.get(f"/v1/adapters/{SURE}")).json()
    (calibration,) = card["calibrations"]
    assert (calibration["estimator"], calibration["signer"]) == ("logprob_sum", "tests")
    assert (await http.get("/v1/adapters/logical_reasoning")).json()["calibrations"] == []


async def held(http: httpx.AsyncClient, fallback: list[str], model: str = UNSURE, **fields: Any) -> Any:
    bound = {"at_least": 0.5, "fallback": fallback}
    answer = await ask(http, model=model, adaptrix={"min_confidence": bound}, **await ending(http, model), **fields)
    return answer.json()


async def test_a_sure_answer_is_given_as_it_is(http: httpx.AsyncClient) -> None:
    plain = (await ask(http, **await ending(http, SURE))).json()["choices"][0]["message"]
    choice = (await held(http, ["abstain"], model=SURE))["choices"][0]
    assert choice["message"] == plain
    assert set(choice["adaptrix"]) == {"confidence"}


@pytest.mark.parametrize(("fallback", "words"), [("abstain", "not sure enough"), ("ask", "other words")])
async def test_an_unsure_answer_gives_way_to_honest_words_that_are_marked(
    http: httpx.AsyncClient, fallback: str, words: str
) -> None:
    document = await held(http, [fallback])
    choice = document["choices"][0]
    assert document["usage"]["completion_tokens"] == 6
    assert document["usage"]["completion_tokens_details"] == {"reasoning_tokens": 6}
    assert words in choice["message"]["content"]
    told = choice["adaptrix"]
    assert told["instead_of_an_answer"] == fallback
    assert told["confidence"] is None
    (attempt,) = told["attempts"]
    assert (attempt["adapter"], attempt["completion_tokens"]) == (UNSURE, 6)
    assert attempt["confidence"] < 0.5


async def test_another_adapter_answers_and_the_document_says_who(http: httpx.AsyncClient) -> None:
    ends = [token for name in (UNSURE, SURE) for token in (await ending(http, name))["stop_token_ids"]]
    bound = {"at_least": 0.5, "fallback": [SURE, "abstain"]}
    document = (await ask(http, model=UNSURE, adaptrix={"min_confidence": bound}, stop_token_ids=ends)).json()
    alone = (await ask(http, stop_token_ids=ends)).json()["choices"][0]
    choice, told = document["choices"][0], document["choices"][0]["adaptrix"]
    assert document["model"] == SURE
    assert (choice["message"], choice["finish_reason"]) == (alone["message"], "stop")
    assert told["confidence"] > 0.8
    assert [one["adapter"] for one in told["attempts"]] == [UNSURE]


async def test_another_adapters_answer_that_is_cut_off_is_no_sure_one(http: httpx.AsyncClient) -> None:
    document = await held(http, [SURE, "abstain"], max_tokens=2)
    told = document["choices"][0]["adaptrix"]
    assert told["instead_of_an_answer"] == "abstain"
    assert [(one["adapter"], one["confidence"]) for one in told["attempts"]] == [(UNSURE, None), (SURE, None)]


async def test_the_base_model_for_which_nothing_is_calibrated_answers_in_any_case(http: httpx.AsyncClient) -> None:
    document = await held(http, ["base"])
    told = document["choices"][0]["adaptrix"]
    assert document["model"] not in (SURE, UNSURE)
    assert told["confidence"] is None
    assert [one["adapter"] for one in told["attempts"]] == [UNSURE]


async def test_where_no_attempt_is_sure_enough_the_surest_is_given_and_marked(http: httpx.AsyncClient) -> None:
    document = await held(http, ["again", "again"])
    told, usage = document["choices"][0]["adaptrix"], document["usage"]
    assert told["below_min_confidence"] is True
    assert len(told["attempts"]) == 2
    assert usage["completion_tokens_details"]["reasoning_tokens"] == sum(
        attempt["completion_tokens"] for attempt in told["attempts"]
    )
    assert usage["completion_tokens"] > usage["completion_tokens_details"]["reasoning_tokens"]


async def test_a_stream_begins_once_the_answer_is_sure(http: httpx.AsyncClient) -> None:
    end = await ending(http, UNSURE)
    answer = await ask(http, model=UNSURE, stream=True, adaptrix={"min_confidence": 0.5}, **end)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    assert "not sure enough" in text
    last = [choice["adaptrix"] for event in events for choice in event["choices"] if "adaptrix" in choice]
    assert [one["instead_of_an_answer"] for one in last] == ["abstain"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": "logical_reasoning", "adaptrix": {"min_confidence": 0.5}}, "not_calibrated"),
        ({"n": 2, "adaptrix": {"min_confidence": 0.5}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": 0}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": 1.5}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": True}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": "much"}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": {"at_least": 0.5, "fallback": []}}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": {"at_least": 0.5, "fallback": ["again"] * 5}}}, "invalid_request"),
        ({"adaptrix": {"min_confidence": {"at_least": 0.5, "fallback": ["abstain", "base"]}}}, "invalid_request"),
        ({"response_format": {"type": "json_object"}, "adaptrix": {"min_confidence": 0.5}}, "invalid_request"),
    ],
)
async def test_what_cannot_be_held_to_is_refused(http: httpx.AsyncClient, fields: dict[str, Any], code: str) -> None:
    error = (await ask(http, status=400, **fields)).json()["error"]
    assert error["code"] == code
    assert error["param"].startswith(("adaptrix", "min_confidence"))


async def test_an_unknown_fallback_is_refused_with_the_nearest_name_before_anything_is_generated(
    http: httpx.AsyncClient,
) -> None:
    bound = {"at_least": 0.5, "fallback": ["math_reasonin"]}
    error = (await ask(http, status=404, adaptrix={"min_confidence": bound})).json()["error"]
    assert "math_reasoning" in error["message"]


async def test_labels_of_answers_raise_what_an_answer_must_have_and_no_more_than_the_bound(
    http: httpx.AsyncClient,
) -> None:
    """An answer of 0.88 is sure enough for 0.85, until its tenant has said often enough that such answers are wrong;
    0.7 is raised to 0.913 at most, and 0.2 to 0.53, so that the answer is still given."""
    end = await ending(http, SURE)
    (told,) = (await ask(http, adaptrix={"confidence": True}, **end)).json()["choices"]
    confidence = told["adaptrix"]["confidence"]
    strict, lax = ({"min_confidence": least} for least in (confidence - 0.02, 0.2))
    assert "attempts" not in (await ask(http, adaptrix=strict, **end)).json()["choices"][0]["adaptrix"]
    for _ in range(20):
        label = {"adapter": SURE, "confidence": confidence, "right": False}
        taken = await http.post("/v1/feedback/answers", json=label)
        assert taken.status_code == 200, taken.text
    assert taken.json()["labels"] == 20
    assert 0.5 < taken.json()["moved_log_odds"] <= 1.5
    held_back = (await ask(http, adaptrix=strict, **end)).json()["choices"][0]["adaptrix"]
    assert held_back["instead_of_an_answer"] == "abstain"
    assert "attempts" not in (await ask(http, adaptrix=lax, **end)).json()["choices"][0]["adaptrix"]


@pytest.mark.parametrize(
    ("label", "status", "param"),
    [
        ({"adapter": "nobody", "confidence": 0.5, "right": True}, 404, "adapter"),
        ({"adapter": SURE, "confidence": 1.5, "right": True}, 400, "confidence"),
        ({"adapter": SURE, "confidence": 0.5}, 400, "right"),
        ({"adapter": "", "confidence": 0.5, "right": True}, 400, "adapter"),
    ],
)
async def test_what_is_no_label_of_an_answer_is_refused_by_name(
    http: httpx.AsyncClient, label: dict[str, Any], status: int, param: str
) -> None:
    answer = await http.post("/v1/feedback/answers", json=label)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
