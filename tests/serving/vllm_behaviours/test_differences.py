"""Where this server does otherwise than vLLM's tests assert: what is asked, and what is done instead, with the reason.

The reasons of refusals are those of the table of fields and endpoints (`docs/http-fields.md`).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local
from tests.serving.vllm_behaviours.rows import ADAPTER, PROMPT, TALK

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, TEXT, EMBEDDINGS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"
SMALLEST: dict[str, dict[str, Any]] = {
    CHAT: {"model": BASE_ID, "messages": TALK, "max_tokens": 2},
    TEXT: {"model": BASE_ID, "prompt": PROMPT, "max_tokens": 2},
    EMBEDDINGS: {"model": "auto", "input": "one text"},
    RESPONSES: {"model": BASE_ID, "input": "one text", "max_output_tokens": 2},
}
SAID = {"role": "assistant", "content": "An apple a day"}
GOES_ON = {"continue_final_message": True, "add_generation_prompt": False}
PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}

REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("further fields of a message", CHAT, {"messages": [{**TALK[1], "extra_field": "0"}]}, "extra_field"),
    ("the last message before the answer", CHAT, {"messages": [*TALK, SAID], **GOES_ON, "echo": True}, "does not say"),
    ("characters at least", CHAT, {"min_characters": 10}, "min_characters"),
    ("log-probabilities of some tokens", CHAT, {"logprobs": True, "logprob_token_ids": [1]}, "cannot be scored apart"),
    ("all tokens as likeliest ones", CHAT, {"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    ("a switch as a text", CHAT, {"logprobs": "true"}, "logprobs"),
    ("the prompt as it was written out", CHAT, {"return_prompt_text": True}, "/tokenize"),
    ("the end of repetition", CHAT, {"repetition_detection": {"max_pattern_size": 3}}, "repetition_penalty"),
    ("a budget for thinking", CHAT, {"thinking_token_budget": 10}, "max_tokens"),
    ("a template of one's own", CHAT, {"chat_template": "{{ messages }}"}, "chat_template_kwargs"),
    ("documents", CHAT, {"documents": [{"title": "a", "text": "b"}]}, "into a message"),
    ("a picture", CHAT, {"messages": [PICTURE]}, "text"),
    ("beams", TEXT, {"n": 2, "use_beam_search": True}, "ask for n"),
    ("beams of an adapter", TEXT, {"model": ADAPTER, "use_beam_search": True}, "ask for n"),
    ("the end of a prompt left out", TEXT, {"truncate_prompt_tokens": 4, "truncation_side": "right"}, "beginning"),
    ("vectors for a prompt", TEXT, {"prompt_embeds": "AAAA"}, "token ids"),
    ("a gap filled", TEXT, {"suffix": "the end"}, "fill a gap"),
    ("free text with parts in a form", TEXT, {"structured_outputs": {"structural_tag": "{}"}}, "one form"),
    ("vectors of a chat", EMBEDDINGS, {"messages": TALK}, "messages"),
    ("a truncated text", EMBEDDINGS, {"truncate_prompt_tokens": 10}, "own limit"),
    ("vectors of other lengths", EMBEDDINGS, {"normalize": False}, "length 1"),
    ("an answer in the background", RESPONSES, {"background": True}, "/v1/batches"),
    ("a background that is not kept", RESPONSES, {"background": True, "store": False}, "/v1/batches"),
    ("messages as the model read them", RESPONSES, {"enable_response_messages": True}, "items only"),
    ("no model", RESPONSES, {"model": None}, "model"),
]
"""What is asked, where, and a word of the reason."""

ABSENT: list[tuple[str, str, str, str]] = [
    ("any body at one path", "POST", "/invocations", "ask that endpoint"),
    ("the requests that run", "GET", "/load", "/metrics"),
    ("the tokenizer described", "GET", "/tokenizer_info", "/v1/models"),
    ("several chats in one request", "POST", "/v1/chat/completions/batch", "not kept"),
    ("a prompt written out", "POST", "/v1/chat/completions/render", "not kept"),
    ("an answer in the background that is cancelled", "POST", "/v1/responses/resp_1/cancel", "whole"),
    ("a score of two texts", "POST", "/score", "/v1/embeddings"),
    ("texts by their likeness", "POST", "/v1/rerank", "/v1/embeddings"),
    ("pooling", "POST", "/pooling", "/v1/embeddings"),
    ("classes of texts", "POST", "/classify", "/v1/embeddings"),
    ("speech as text", "POST", "/v1/audio/transcriptions", "text only"),
    ("sleep", "POST", "/sleep", "cluster decides"),
    ("a cache without prefixes", "POST", "/reset_prefix_cache", "never changes an answer"),
    ("settings", "GET", "/server_info", "operator"),
]

ACCEPTED: list[tuple[str, str, dict[str, Any]]] = [
    ("usage that is null, without a stream", CHAT, {"stream_options": {"include_usage": None}}),
    ("usage that is null, without a stream, of a text", TEXT, {"stream_options": {"include_usage": None}}),
    ("usage so far that is null, without a stream", TEXT, {"stream_options": {"continuous_usage_stats": None}}),
    ("usage so far, without a stream", TEXT, {"stream_options": {"continuous_usage_stats": True}}),
    ("an empty salt", CHAT, {"cache_salt": ""}),
    ("a choice left to the model, without functions", CHAT, {"tool_choice": "auto"}),
]
"""Requests that vLLM refuses, and that ask for nothing here."""


@pytest.mark.parametrize(("path", "fields", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_is_refused_with_a_reason(local: Local, path: str, fields: dict[str, Any], reason: str) -> None:
    answer = await local.http.post(path, json={**SMALLEST[path], **fields})
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path", "reason"), [row[1:] for row in ABSENT], ids=[row[0] for row in ABSENT])
async def test_what_is_not_here_says_why(local: Local, method: str, path: str, reason: str) -> None:
    answer = await local.http.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code in (404, 405), answer.text
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "fields"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
async def test_what_asks_for_nothing_is_accepted(local: Local, path: str, fields: dict[str, Any]) -> None:
    assert (await local.http.post(path, json={**SMALLEST[path], **fields})).status_code == 200
