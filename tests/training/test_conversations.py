"""Conversations with functions from files: read in OpenAI's form, encoded as serving asks, told apart, written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adaptrix_core.base.chat_options import ChatOptions
from adaptrix_core.errors import ConfigError, DataError
from adaptrix_core.tools.call_form import HERMES, LLAMA
from adaptrix_core.training.evaluation.tool_marks import ReadReply
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples, reply_text
from adaptrix_core.training.examples.held_out import split
from adaptrix_core.training.examples.jsonl import read_jsonl
from adaptrix_core.training.examples.openai_form import conversation_of
from adaptrix_core.training.run import HELD_OUT, train
from tests.tiny_models import byte_tokenizer, random_base
from tests.training.test_trainer import tiny_config

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": CITY}}
CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
ASKED = {"role": "user", "content": "Weather in Oslo?"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "sunny"}
SAID = {"role": "assistant", "content": "It is sunny."}
SYSTEM = {"role": "system", "content": "Be brief."}


def row(*messages: Any, tools: Any = (WEATHER,)) -> dict[str, Any]:
    return {"messages": list(messages), "tools": list(tools)}


WHOLE = row(SYSTEM, ASKED, CALLED, RESULT, SAID)


def test_the_last_message_is_learnt_and_all_others_are_the_prompt() -> None:
    conversation = conversation_of(WHOLE)
    assert conversation.reply == SAID
    assert [message["role"] for message in conversation.messages] == ["system", "user", "assistant", "tool"]
    assert conversation.messages[2]["tool_calls"] == [CALL]
    assert conversation.toolset is not None
    assert conversation.toolset.documents() == [WEATHER]
    assert conversation_of(row(ASKED, CALLED)).reply["tool_calls"] == [CALL]


def test_messages_are_taken_as_the_server_takes_them() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    conversation = conversation_of({"messages": [SYSTEM | {"role": "developer"}, parts, SAID]})
    assert conversation.messages == (SYSTEM, {"role": "user", "content": "ab"})
    assert conversation.toolset is None


@pytest.mark.parametrize("conversation", [conversation_of(WHOLE), LearntConversation.of_pair("a", "b")])
def test_what_is_written_is_read_again(conversation: LearntConversation, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(conversation.as_row()) + "\n")
    assert read_jsonl(tmp_path / "x.jsonl") == [conversation]


def changed(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**message, **fields}


def call(**function: Any) -> dict[str, Any]:
    return changed(CALLED, tool_calls=[changed(CALL, function={**CALL["function"], **function})])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (row(), "not a list of objects"),
        (row("hi"), "not a list of objects"),
        (row(ASKED), "have the roles ['user']; the last must be one of the assistant"),
        (row(SAID), "have the roles ['assistant']"),
        (row(SYSTEM, SAID), "have the roles ['system', 'assistant']"),
        (row(ASKED, SAID, SAID), "have the roles"),
        (row(ASKED, CALLED, RESULT), "have the roles"),
        (row(changed(ASKED, role="User"), SAID), "message 1: role is 'User'"),
        (row(changed(ASKED, role=3), SAID), "message 1: role is 3"),
        (row(changed(ASKED, content=""), SAID), "message 1: content is ''"),
        (row(ASKED, changed(SAID, content=None)), "message 2: content is None"),
        (row(ASKED, changed(SAID, content=7)), "message 2: content is 7"),
        (row(changed(ASKED, content=[{"type": "image_url", "image_url": "x"}]), SAID), "only parts of text"),
        (row(changed(ASKED, tool_calls=[CALL]), SAID), "message 1: tool_calls are an assistant's"),
        (row(ASKED, changed(CALLED, tool_calls="x")), "message 2: tool_calls is not a list of objects"),
        (row(ASKED, changed(CALLED, tool_calls=[{"id": "1"}])), "message 2, call 1: function is None"),
        (row(ASKED, call(arguments="{")), "message 2, call 1: arguments are '{'"),
        (row(ASKED, call(arguments="[]")), "they must be the JSON text of an object"),
        (row(ASKED, call(arguments={"city": "Oslo"})), "message 2, call 1: arguments are {'city': 'Oslo'}"),
        (row(ASKED, call(name="")), "message 2, call 1: name is ''"),
        (row(ASKED, call(name="get_wether")), "which is not among tools; did you mean 'get_weather'?"),
        (row(ASKED, CALLED, tools=()), "calls 'get_weather', which is not among tools; tools: none"),
        (row(ASKED, CALLED, changed(RESULT, tool_call_id="2"), SAID), "the result of call '2', which no message"),
        (row(ASKED, CALLED, {"role": "tool", "content": "x"}, SAID), "message 3: tool_call_id is None"),
        (row(ASKED, SAID, tools=("x",)), "tools is not a list of objects"),
        (row(ASKED, SAID, tools=(WEATHER, WEATHER)), "tools describe 'get_weather' twice"),
        (row(ASKED, SAID, tools=({"type": "retrieval"},)), 'tool 1 is not {"type": "function"'),
        (row(ASKED, SAID, tools=({"type": "function", "function": {"name": "a b"}},)), "tool 1: name is 'a b'"),
        (
            row(ASKED, SAID, tools=({"type": "function", "function": {"name": "a", "parameters": []}},)),
            "tool 1: parameters is []",
        ),
        (
            row(ASKED, SAID, tools=({"type": "function", "function": {"name": "a", "description": 1}},)),
            "tool 1: description is 1",
        ),
    ],
)
def test_a_bad_line_is_named_with_the_place_in_it(line: object, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(WHOLE)}\n{json.dumps(line)}\n")
    with pytest.raises(DataError) as raised:
        read_jsonl(path)
    (fault,) = raised.value.faults
    assert fault.startswith("x.jsonl line 2: ")
    assert complaint in fault


def test_the_prompt_is_that_of_serving_and_the_reply_is_read_as_the_call_that_was_meant() -> None:
    base = random_base(tokenizer=byte_tokenizer())
    conversation = conversation_of(row(SYSTEM, ASKED, CALLED))
    (example,) = encode_examples(base, [conversation], 4000)
    prompt, answer = example.token_ids[: -example.answer_length], example.token_ids[-example.answer_length :]
    asked = [SYSTEM, ASKED]
    assert list(prompt) == base.encode_chat(asked, ChatOptions(toolset=conversation.toolset))
    assert list(prompt) != base.encode_chat(asked)
    tokenizer = base.require_tokenizer()
    assert answer[-1] == tokenizer.eos_token_id
    read = ReadReply.of(tokenizer.decode(answer[:-1]), base.calls.form)
    assert (read.text, read.functions, read.arguments) == ("", ["get_weather"], ['{"city": "Oslo"}'])


@pytest.mark.parametrize("form", [HERMES, LLAMA], ids=lambda form: form.name)
def test_a_call_is_written_in_the_form_of_the_base(form: Any) -> None:
    read = ReadReply.of(reply_text(conversation_of(row(ASKED, CALLED)).reply, form), form)
    assert (read.text, read.functions, read.arguments) == ("", ["get_weather"], ['{"city": "Oslo"}'])


def test_several_calls_are_written_where_the_form_has_several_and_refused_where_it_has_one() -> None:
    two = changed(CALLED, tool_calls=[CALL, changed(CALL, id="2")], content="")
    assert ReadReply.of(reply_text(two, HERMES), HERMES).functions == ["get_weather"] * 2
    with pytest.raises(ConfigError, match="makes 2 calls"):
        reply_text(two, LLAMA)


def test_equal_questions_after_other_messages_or_functions_are_other_prompts() -> None:
    lines = [row(ASKED, SAID, tools=()), row(ASKED, SAID), row(SYSTEM, ASKED, SAID), row(ASKED, CALLED)]
    conversations = [conversation_of(line) for line in lines]
    assert len({conversation.prompt_text for conversation in conversations}) == 3
    train_side, held_out = split(conversations * 3, 0.34, seed=0)
    assert len({conversation.prompt_text for conversation in held_out}) == 1
    assert not {one.prompt_text for one in train_side} & {one.prompt_text for one in held_out}


def test_a_run_on_a_file_of_conversations_keeps_its_held_out_ones_as_such_a_file(tmp_path: Path) -> None:
    lines = [row({"role": "user", "content": f"Weather {number}?"}, CALLED) for number in range(8)]
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = tiny_config(
        tmp_path / "run", data=str(tmp_path / "calls.jsonl"), held_out=0.25, epochs=1, max_tokens_per_example=4000
    )
    result = train(config, random_base(tokenizer=byte_tokenizer(), max_position_embeddings=4000), Console(quiet=True))
    assert (result.num_examples, result.num_held_out) == (6, 2)
    kept = read_jsonl(tmp_path / "run" / HELD_OUT)
    assert [conversation.as_row() for conversation in kept] == [
        conversation_of(line).as_row() for line in lines if conversation_of(line) in kept
    ]
    assert len(kept) == 2
