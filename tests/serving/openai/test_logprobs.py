"""Log-probabilities over HTTP: no token is lost or merged, and each comes with its own bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.openai.documents import (
    AnswerHead,
    ChunkedAnswer,
    Kind,
    Offsets,
    WholeAnswer,
    chat_logprobs,
    text_logprobs,
)
from deployments.replica.token_text import NEVER, TokenTexts, shown
from deployments.shared.wire import Likely, Piece
from tests.serving.conftest import BASE_ID, Local

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
SMILE = "😀".encode()

pytestmark = pytest.mark.asyncio(loop_scope="session")


def spread(local: Local, bias: float = 12.0) -> dict[str, float]:
    """A bias towards tokens that are parts of characters, and a few that are whole ones."""
    tokenizer = local.store.worker.tokenizer
    ids = tokenizer.encode("😀 日本 é", add_special_tokens=False)
    return {str(token): bias for token in ids}


def body(local: Local, **fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "max_tokens": 24, "seed": 5, "logit_bias": spread(local), "ignore_eos": True, **fields}


async def stream(local: Local, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices of a stream's chunks, in order."""
    answer = await local.http.post(path, json={**asked, "stream": True})
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [choice for line in lines for choice in json.loads(line)["choices"]]


def assert_alike(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    """Equal but for the rounding of another batch."""
    for name in ("tokens", "text_offset"):
        assert one[name] == other[name]
    assert one["token_logprobs"] == pytest.approx(other["token_logprobs"], abs=1e-3)
    assert [len(top) for top in one["top_logprobs"]] == [len(top) for top in other["top_logprobs"]]


@pytest.mark.parametrize("model", [BASE_ID, "math_reasoning"])
async def test_the_bytes_of_a_chat_answers_tokens_are_its_text(local: Local, model: str) -> None:
    ask = [{"role": "user", "content": "😀"}]
    asked = body(local, model=model, messages=ask, logprobs=True, top_logprobs=5, n=3)
    answer = (await local.http.post(CHAT, json=asked)).json()
    for choice in answer["choices"]:
        entries = choice["logprobs"]["content"]
        data = b"".join(bytes(entry["bytes"]) for entry in entries)
        assert len(entries) == 24
        assert data.decode("utf-8", "replace") == choice["message"]["content"]
        assert any(entry["token"].startswith("bytes:\\x") for entry in entries), "no token was a part of a character"
        assert all(len(entry["top_logprobs"]) == 5 for entry in entries)
        for entry in entries:
            assert shown(bytes(entry["bytes"])) == entry["token"]
    chunks = await stream(local, CHAT, asked)
    for index, choice in enumerate(answer["choices"]):
        said = [c for c in chunks if c["index"] == index and c.get("logprobs")]
        streamed = [entry for c in said for entry in c["logprobs"]["content"]]
        assert [(e["token"], e["bytes"]) for e in streamed] == [
            (e["token"], e["bytes"]) for e in choice["logprobs"]["content"]
        ]


async def test_a_text_answer_names_the_chosen_token_and_loses_none_that_look_alike(local: Local) -> None:
    asked = body(local, prompt=["😀", "one"], logprobs=5, n=2, temperature=1.5)
    answer = (await local.http.post(TEXT, json=asked)).json()
    assert len(answer["choices"]) == 4
    for choice in answer["choices"]:
        told = choice["logprobs"]
        lengths = {name: len(values) for name, values in told.items()}
        assert set(lengths.values()) == {24}, lengths
        for token, logprob, top in zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True):
            assert len(top) in (5, 6)
            assert top[token] == logprob
            assert list(top.values()) == sorted(top.values(), reverse=True)
    chunks = await stream(local, TEXT, asked)
    for choice in answer["choices"]:
        said = [c["logprobs"] for c in chunks if c["index"] == choice["index"] and c.get("logprobs")]
        assert_alike({name: [v for one in said for v in one[name]] for name in choice["logprobs"]}, choice["logprobs"])


async def test_no_others_asked_for_still_names_the_chosen_token(local: Local) -> None:
    answer = (await local.http.post(TEXT, json=body(local, prompt="one", logprobs=0))).json()
    told = answer["choices"][0]["logprobs"]
    assert [dict([pair]) for pair in zip(told["tokens"], told["token_logprobs"], strict=True)] == told["top_logprobs"]
    chat = body(local, messages=[{"role": "user", "content": "one"}], logprobs=True)
    entries = (await local.http.post(CHAT, json=chat)).json()["choices"][0]["logprobs"]["content"]
    assert [entry["top_logprobs"] for entry in entries] == [[]] * 24


async def test_text_held_back_or_cut_by_a_stop_string_loses_no_entries(local: Local) -> None:
    asked = body(local, prompt="one", logprobs=2)
    whole = (await local.http.post(TEXT, json=asked)).json()["choices"][0]
    stop = whole["text"][5:9]
    answer = (await local.http.post(TEXT, json={**asked, "stop": [stop, "never to be seen"]})).json()
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert stop not in choice["text"]
    used = answer["usage"]["completion_tokens"]
    assert_alike({name: values[:used] for name, values in whole["logprobs"].items()}, choice["logprobs"])


async def test_offsets_say_where_each_token_begins(local: Local) -> None:
    asked = body(local, prompt="one", logprobs=0, temperature=1.2, stop=["never to be seen"])
    choice = (await local.http.post(TEXT, json=asked)).json()["choices"][0]
    told = choice["logprobs"]
    assert told["text_offset"] == sorted(told["text_offset"])
    assert told["text_offset"][-1] > 3
    whole = [(t, at) for t, at in zip(told["tokens"], told["text_offset"], strict=True) if not t.startswith("bytes:")]
    assert whole
    for token, at in whole:
        assert choice["text"][at : at + len(token)] == token


async def test_a_special_token_has_no_bytes(local: Local) -> None:
    tokenizer = local.store.worker.tokenizer
    end = {str(tokenizer.eos_token_id): 100}
    ask = [{"role": "user", "content": "one"}]
    asked = body(local, messages=ask, logit_bias=end, temperature=0, max_tokens=2, logprobs=True, top_logprobs=1)
    entries = (await local.http.post(CHAT, json=asked)).json()["choices"][0]["logprobs"]["content"]
    assert [(entry["token"], entry["bytes"]) for entry in entries] == [("</s>", None)] * 2


async def test_log_probabilities_under_a_grammar_are_numbers_of_json(local: Local) -> None:
    ask = [{"role": "user", "content": "one"}]
    form = {"type": "json_object"}
    asked = body(local, messages=ask, logit_bias={}, response_format=form, logprobs=True, top_logprobs=20)
    answer = await local.http.post(CHAT, json=asked)
    assert answer.status_code == 200, answer.text
    json.loads(answer.text, parse_constant=pytest.fail)


def piece(text: str, data: bytes, top: tuple[Likely, ...] = (), finish_reason: str | None = None) -> Piece:
    return Piece(0, 1, 0, text, Likely(shown(data), data[0], -0.5, data), top, finish_reason, None, 3)


@pytest.mark.parametrize("kind", ["chat", "text"])
async def test_a_character_of_four_tokens_is_four_entries_whole_and_streamed(kind: Kind) -> None:
    pieces = [piece("a", b"a"), *(piece("", SMILE[i : i + 1]) for i in range(3)), piece("😀", SMILE[3:])]
    head = AnswerHead(kind, "id", 0, "m")
    whole, chunked = WholeAnswer(head, 1), ChunkedAnswer(head, 1)
    whole.add_pieces(pieces)
    streamed = [document["choices"][0]["logprobs"] for one in pieces for document in chunked.chunks([one])]
    if kind == "chat":
        told = chat_logprobs(pieces)
        assert told is not None
        assert [entry["bytes"] for entry in told["content"]] == [[byte] for byte in b"a" + SMILE]
        assert [entry["token"] for entry in told["content"][1:3]] == ["bytes:\\xf0", "bytes:\\x9f"]
        assert [entry for one in streamed for entry in one["content"]] == told["content"]
    else:
        told = text_logprobs(pieces, Offsets())
        assert told is not None
        assert told["text_offset"] == [0, 1, 1, 1, 1]
        assert [offset for one in streamed for offset in one["text_offset"]] == told["text_offset"]


async def test_more_log_probabilities_than_one_answer_may_hold_are_refused_not_gathered(local: Local) -> None:
    top = tuple(Likely(str(n), n, -1.0) for n in range(20))
    answer = WholeAnswer(AnswerHead("text", "id", 0, "m"), 1)
    with pytest.raises(InvalidRequest, match=str(MOST.answer_logprobs)):
        answer.add_pieces([piece("a", b"a", top)] * (MOST.answer_logprobs // 20))
    asked = body(local, prompt=["one"] * 8, n=4, max_tokens=300, logprobs=20, logit_bias={})
    refused = await local.http.post(TEXT, json=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_logprobs")


async def test_tokens_that_look_alike_keep_their_own_entries() -> None:
    chosen = Likely("A", 7, -3.0, b"A")
    top = (Likely("A", 8, -0.1, b"A"), Likely("A", 9, -0.2, b"A"), Likely("B", 10, -0.3, b"B"))
    told = text_logprobs([piece("A", b"A")._replace(logprob=chosen, top=top)], Offsets())
    assert told is not None
    assert told["top_logprobs"] == [{"token_id:8": -0.1, "token_id:9": -0.2, "B": -0.3, "A": -3.0}]


async def test_a_base_without_a_tokenizer_names_tokens_by_number_and_minus_infinity_is_a_number() -> None:
    texts = TokenTexts(None, None)
    assert texts.likely(5, float("-inf")) == Likely("token_id:5", 5, NEVER)
