"""Embeddings, and prompts told in tokens."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import BASE_ID, Local
from tests.serving.tiny import CONTEXT
from tests.serving.vllm_behaviours.rows import refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = ["The cat sat on the mat.", "A feline was resting on a rug.", "Stars twinkle brightly in the night sky."]
MODEL = "all-MiniLM-L6-v2"
CONVERSATION = [
    {"role": "user", "content": "Hi there!"},
    {"role": "assistant", "content": "Nice to meet you!"},
    {"role": "user", "content": "Can I ask a question?"},
]


async def embedded(local: Local, content: Any, **fields: Any) -> Any:
    return await local.openai.embeddings.create(model=MODEL, input=content, **fields)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (TEXTS[:1], 1),
        (TEXTS, 3),
        ([1012, 1013, 1014, 1015, 1016], 1),
        ([[1012, 1013, 1014], [2000, 2001], [3000]], 3),
        (TEXTS[0], 1),
    ],
    ids=["a text in a list", "three texts", "ids", "lists of ids", "a text"],
)
async def test_every_input_has_a_vector(local: Local, content: Any, count: int) -> None:
    answer = await embedded(local, content, encoding_format="float")
    assert [len(one.embedding) for one in answer.data] == [384] * count
    assert answer.usage.total_tokens == answer.usage.prompt_tokens > 0


async def test_vectors_are_the_same_in_every_encoding(local: Local) -> None:
    told = [np.array([one.embedding for one in (await embedded(local, TEXTS, encoding_format="float")).data])]
    packed = (await embedded(local, TEXTS, encoding_format="base64")).data
    told.append(np.array([np.frombuffer(base64.b64decode(one.embedding), "<f4") for one in packed]))
    told.append(np.array([one.embedding for one in (await embedded(local, TEXTS)).data]))
    np.testing.assert_allclose(told[0], told[1], atol=1e-6)
    np.testing.assert_allclose(told[0], told[2], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(told[0], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("normalize", [None, True])
async def test_length_1_may_be_asked_for(local: Local, normalize: bool | None) -> None:
    answer = await embedded(local, TEXTS[0], extra_body={"normalize": normalize})
    assert abs(np.linalg.norm(answer.data[0].embedding) - 1) < 1e-5


async def test_a_truncation_over_the_limit_is_refused(local: Local) -> None:
    assert (
        "truncate_prompt_tokens"
        in (await refusal(embedded(local, TEXTS[0], extra_body={"truncate_prompt_tokens": 8193}))).message
    )


async def posted(local: Local, path: str, **fields: Any) -> Any:
    answer = await local.http.post(path, json={"model": BASE_ID, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("special", [False, True])
async def test_a_prompt_in_tokens(local: Local, special: bool) -> None:
    told = await posted(local, "/tokenize", prompt="This is a test.", add_special_tokens=special)
    assert (told["count"], told["max_model_len"], told["token_strs"]) == (len(told["tokens"]), CONTEXT, None)
    assert (await posted(local, "/detokenize", tokens=told["tokens"]))["prompt"].endswith("This is a test.")


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(
    "ending",
    [{"add_generation_prompt": False}, {"add_generation_prompt": True}, {"continue_final_message": True}],
    ids=["as it is", "a turn begun", "the last one left open"],
)
async def test_messages_in_tokens(local: Local, special: bool, ending: dict[str, bool]) -> None:
    continued = [{"role": "assistant", "content": "Sure,"}] if "continue_final_message" in ending else []
    fields = {"add_generation_prompt": False, **ending, "messages": [*CONVERSATION, *continued]}
    told = await posted(local, "/tokenize", add_special_tokens=special, **fields)
    text = (await posted(local, "/detokenize", tokens=told["tokens"]))["prompt"]
    assert CONVERSATION[2]["content"] in text
    assert text.endswith("<|assistant|>") == bool(ending.get("add_generation_prompt"))
    assert text.endswith("Sure,") == bool(continued)


async def test_messages_with_functions_in_tokens(local: Local) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    told = await posted(local, "/tokenize", messages=CONVERSATION, tools=tools)
    assert "get_weather" in (await posted(local, "/detokenize", tokens=told["tokens"]))["prompt"]


async def test_tokens_have_their_names(local: Local) -> None:
    told = await posted(local, "/tokenize", prompt="one test", return_token_strs=True)
    assert len(told["token_strs"]) == told["count"]
    assert all(isinstance(name, str) for name in told["token_strs"])


async def test_text_comes_back_from_its_tokens(local: Local) -> None:
    tokens = (await posted(local, "/tokenize", prompt="This is a test prompt.", add_special_tokens=False))["tokens"]
    assert (await posted(local, "/detokenize", tokens=tokens))["prompt"] == "This is a test prompt."
