"""Prompts told in tokens and tokens told as text, as vLLM and SGLang do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from deployments.openai.vllm.token_documents import AT_ONCE, tokenize_answer
from deployments.shared.token_calls import Tokenized
from tests.serving.conftest import BASE_ID, Local
from tests.serving.tiny import CONTEXT

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "Who is the mother of my father?"}]
TEXT = "What is seventeen plus twenty five? système 😀"


async def tokenize(local: Local, path: str = "/tokenize", **fields: Any) -> dict[str, Any]:
    answer = await local.http.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def seen_by_the_model(local: Local, path: str, **fields: Any) -> list[int]:
    """The ids of a prompt that is answered."""
    body = {"model": BASE_ID, "max_tokens": 1, "return_token_ids": True, **fields}
    document = (await local.http.post(path, json=body)).json()
    ids: list[int] = document.get("prompt_token_ids") or document["choices"][0]["prompt_token_ids"]
    return ids


async def test_a_prompts_tokens_are_those_that_the_model_reads(local: Local) -> None:
    told = await tokenize(local, model=BASE_ID, prompt=TEXT)
    assert told["tokens"] == await seen_by_the_model(local, "/v1/completions", prompt=TEXT)
    assert told == {
        "count": len(told["tokens"]), "max_model_len": CONTEXT, "tokens": told["tokens"], "token_strs": None
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add_generation_prompt": False},
        {"continue_final_message": True, "messages": [*ASK, {"role": "assistant", "content": "My grand"}]},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"tools": [{"type": "function", "function": {"name": "now", "parameters": {}}}]},
    ],
)
async def test_so_are_those_of_messages(local: Local, options: dict[str, Any]) -> None:
    fields = {"messages": ASK, **options}
    told = await tokenize(local, **fields)
    assert told["tokens"] == await seen_by_the_model(local, "/v1/chat/completions", **fields)


async def test_tokens_have_their_names_where_asked_for(local: Local) -> None:
    told = await tokenize(local, prompt="Who is", return_token_strs=True)
    names = local.store.worker.tokenizer.convert_ids_to_tokens(told["tokens"])
    assert told["token_strs"] == names
    assert len(names) == told["count"] > 0


async def test_special_tokens_are_left_out_or_added_as_asked(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    base = local.store.worker._engine.base
    encode = base.tokenizer.encode  # of a tokenizer that has none in front, so they are seen in what is asked of it
    asked: list[bool] = []

    def noting(text: str, add_special_tokens: bool = True) -> Any:
        asked.append(add_special_tokens)
        return encode(text, add_special_tokens=add_special_tokens)

    monkeypatch.setattr(base.tokenizer, "encode", noting)
    for fields in ({"prompt": TEXT}, {"messages": ASK}):
        for sent in ({}, {"add_special_tokens": True}, {"add_special_tokens": False}):
            await tokenize(local, **fields, **sent)
    assert asked == [True, True, False, False, True, False]


async def test_a_text_comes_back_from_its_tokens(local: Local) -> None:
    for path, back in (("/tokenize", "/detokenize"), ("/v1/tokenize", "/v1/detokenize")):
        tokens = (await tokenize(local, path, prompt=TEXT))["tokens"]
        assert (await tokenize(local, back, tokens=tokens)) == {"prompt": TEXT, "text": TEXT}
    assert (await tokenize(local, "/detokenize", tokens=[]))["prompt"] == ""
    assert (await tokenize(local, prompt=""))["count"] == 0


async def test_special_tokens_are_text_unless_they_are_skipped(local: Local) -> None:
    ids = (await tokenize(local, messages=ASK))["tokens"]
    shown = await tokenize(local, "/detokenize", tokens=ids)
    assert shown["prompt"] == "<|user|>Who is the mother of my father?</s><|assistant|>"
    skipped = await tokenize(local, "/detokenize", tokens=ids, skip_special_tokens=True)
    assert skipped["text"] == "Who is the mother of my father?"


async def test_lists_are_answered_by_lists(local: Local) -> None:
    told = await tokenize(local, prompt=[TEXT, "Who"], return_token_strs=True)
    each = [await tokenize(local, prompt=text, return_token_strs=True) for text in (TEXT, "Who")]
    for member in ("count", "tokens", "token_strs"):
        assert told[member] == [one[member] for one in each]
    back = await tokenize(local, "/detokenize", tokens=told["tokens"])
    assert back["prompt"] == back["text"] == [TEXT, "Who"]


@pytest.mark.parametrize(
    ("path", "fields", "status", "param"),
    [
        ("/tokenize", {}, 400, None),
        ("/tokenize", {"prompt": "a", "messages": ASK}, 400, None),
        ("/tokenize", {"prompt": "a", "add_generation_prompt": True}, 400, None),
        ("/tokenize", {"prompt": 1}, 400, "prompt"),
        ("/tokenize", {"prompt": []}, 400, "prompt"),
        ("/tokenize", {"prompt": "a", "model": "nobody"}, 404, "model"),
        ("/tokenize", {"messages": []}, 400, "messages"),
        ("/tokenize", {"messages": ASK, "add_generation_prompt": True, "continue_final_message": True}, 400,
         "continue_final_message"),
        ("/tokenize", {"messages": ASK, "chat_template_kwargs": {"tokenize": True}}, 400, "chat_template_kwargs"),
        ("/tokenize", {"content": "a"}, 400, "content"),
        ("/tokenize", {"prompt": "a" * 600_000}, 400, None),
        ("/detokenize", {}, 400, "tokens"),
        ("/detokenize", {"tokens": "1"}, 400, "tokens"),
        ("/detokenize", {"tokens": [1, -1]}, 400, "tokens"),
        ("/detokenize", {"tokens": [1, 1_000_000]}, 400, "tokens"),
        ("/detokenize", {"tokens": [[1], [1_000_000]]}, 400, "tokens"),
        ("/detokenize", {"tokens": [[1], 2]}, 400, "tokens"),
        ("/detokenize", {"tokens": [1], "model": "nobody"}, 404, "model"),
    ],
)  # fmt: skip
async def test_what_cannot_be_told_is_refused(
    local: Local, path: str, fields: dict[str, Any], status: int, param: str | None
) -> None:
    answer = await local.http.post(path, json=fields)
    assert answer.status_code == status, answer.text
    told = answer.json()["error"]["param"]
    assert told is None if param is None else told.startswith(param)


async def test_every_name_that_is_served_is_good(local: Local) -> None:
    for model in (BASE_ID, "auto", "math_reasoning", f"{BASE_ID}:math_reasoning@1.0.0"):
        assert (await tokenize(local, model=model, prompt="Who"))["count"] > 0


async def test_a_long_text_is_told_whole_beside_the_event_loop(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    base = local.store.worker._engine.base
    encode, decode = base.encode, base.tokenizer.decode
    threads: list[threading.Thread] = []

    def noting(of: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            threads.append(threading.current_thread())
            return of(*args, **options)

        return noted

    monkeypatch.setattr(base, "encode", noting(encode))
    monkeypatch.setattr(base.tokenizer, "decode", noting(decode))
    told = await tokenize(local, prompt=TEXT * 2000, return_token_strs=True)
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"]) > 9 * CONTEXT
    assert (await tokenize(local, "/detokenize", tokens=told["tokens"]))["prompt"] == TEXT * 2000
    assert threading.main_thread() not in threads
    await tokenize(local, prompt=TEXT)
    assert threads[2:] == [threading.main_thread()]


async def test_many_tokens_are_written_in_parts() -> None:
    numbers = tuple(range(3 * AT_ONCE + 1))
    turns = 0
    done = asyncio.Event()

    async def count_turns() -> None:
        nonlocal turns
        while not done.is_set():
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    written = await tokenize_answer([Tokenized(numbers, 5, tuple(map(str, numbers)))], is_list=False)
    done.set()
    await counting
    assert turns >= 8
    assert json.loads(written) == {
        "count": len(numbers), "max_model_len": 5, "tokens": list(numbers), "token_strs": list(map(str, numbers))
    }  # fmt: skip
