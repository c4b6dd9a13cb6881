"""How messages become a prompt: turns left open, roles of one's own, variables of the template, prompts cut to size."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASK = {"model": BASE_ID, "max_tokens": 6, "temperature": 0, "ignore_eos": True}


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


async def answer(local: Local, path: str, **fields: Any) -> tuple[str, int]:
    """The text, and the number of tokens of the prompt."""
    got = await local.http.post(path, json={**ASK, **fields})
    assert got.status_code == 200, got.text
    choice = got.json()["choices"][0]
    text = choice["text"] if path == TEXT else choice["message"]["content"]
    return text, got.json()["usage"]["prompt_tokens"]


async def test_an_answer_goes_on_with_the_last_message(local: Local) -> None:
    messages = [said("user", "Who?"), said("assistant", "It was")]
    begun = await answer(local, CHAT, messages=messages, continue_final_message=True, add_generation_prompt=False)
    assert begun == await answer(local, TEXT, prompt="<|user|>Who?</s><|assistant|>It was")
    assert begun == await answer(local, CHAT, messages=messages, continue_final_message=True)


async def test_a_prompt_may_end_without_a_turn_begun(local: Local) -> None:
    messages = [said("user", "Who?")]
    plain = await answer(local, CHAT, messages=messages, add_generation_prompt=False)
    assert plain == await answer(local, TEXT, prompt="<|user|>Who?</s>")


async def test_other_roles_go_to_the_template_as_they_are(local: Local) -> None:
    given = await answer(local, CHAT, messages=[said("critic", "Bad."), said("user", "Who?")])
    assert given == await answer(local, TEXT, prompt="<|critic|>Bad.</s><|user|>Who?</s><|assistant|>")


async def test_a_prompt_is_cut_at_its_beginning(local: Local) -> None:
    long = "one two three four five six seven eight nine ten " * 30
    text, tokens = await answer(local, TEXT, prompt=long, truncate_prompt_tokens=20)
    assert tokens == 20
    far_too_long = "word " * 20_000
    _, most = await answer(local, TEXT, prompt=far_too_long, truncate_prompt_tokens=-1)
    assert most == 4096 - ASK["max_tokens"]
    assert (text, 20) == await answer(local, TEXT, prompt=long[len(long) // 2 :], truncate_prompt_tokens=20)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"conversation": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {str(number): 1 for number in range(65)}}, "chat_template_kwargs"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ({"messages": [said("a b", "hi")]}, "messages.0.role"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(local: Local, fields: dict[str, Any], param: str) -> None:
    got = await local.http.post(CHAT, json={**ASK, "messages": [said("user", "Who?")], **fields})
    assert (got.status_code, got.json()["error"]["param"]) == (400, param), got.text


async def test_variables_that_a_template_does_not_know_change_nothing(local: Local) -> None:
    messages = [said("user", "Who?")]
    given = await answer(local, CHAT, messages=messages, chat_template_kwargs={"enable_thinking": False})
    assert given == await answer(local, CHAT, messages=messages)


async def test_variables_count_as_text_as_a_template_can_write_them_out(local: Local) -> None:
    long = {"date_string": "x" * 600_000}
    got = await local.http.post(CHAT, json={**ASK, "messages": [said("user", "Who?")], "chat_template_kwargs": long})
    assert (got.status_code, got.json()["error"]["code"]) == (400, "text_too_long")
