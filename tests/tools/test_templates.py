"""What the model sees of functions, calls and results: its own template's words, or the stated ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from adaptrix_core.tools.call_form import HERMES, LLAMA, STATED, calls_of_template
from adaptrix_core.tools.template_input import template_input, template_text
from adaptrix_core.tools.toolset import Function, Toolset

WEATHER = Function("get_weather", "The weather of a city.", {"type": "object", "properties": {"city": {}}})
TOOLSET = Toolset((WEATHER, Function("now")))
CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
ASKED = {"role": "user", "content": "Is it warm?"}
CONVERSATION = [
    ASKED,
    {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "18 C"},
    {"role": "tool", "tool_call_id": "1", "content": "{sunny}"},
]
HERMES_LIKE = (
    "{%- if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}\n{% endfor %}"
)
LLAMA_LIKE = (
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}"
    "{% for message in messages %}{% if 'tool_calls' in message %}"
    """{{ '{"name": "' + message.tool_calls[0].function.name + '", ' }}{{ '"parameters": ' }}"""
    "{{ message.tool_calls[0].function.arguments | tojson }}{{ '}' }}"
    "{% else %}{{ message.content }}{% endif %}{% endfor %}"
)
OTHERS = [
    "{{ messages }}",
    "{{ tools }}[TOOL_CALLS]",
    "{{ tools }}<tool_call><function=f>arguments</function></tool_call>",
    "<tool_call> arguments without a variable for functions",
]


def rendered(template: str, messages: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> str:
    given = template_input(messages, TOOLSET, calls_of_template(template))
    return str(tokenizer.apply_chat_template(**given, chat_template=template, tokenize=False))


def test_templates_that_know_functions_are_recognised() -> None:
    assert (calls_of_template(HERMES_LIKE).form, calls_of_template(HERMES_LIKE).is_native) == (HERMES, True)
    assert (calls_of_template(LLAMA_LIKE).form, calls_of_template(LLAMA_LIKE).is_native) == (LLAMA, True)


@pytest.mark.parametrize("template", OTHERS)
def test_all_others_get_the_stated_form(template: str) -> None:
    calls = calls_of_template(template)
    assert (calls.form, calls.is_native) == (STATED, False)


def test_a_native_template_writes_functions_calls_and_results(tokenizer: PreTrainedTokenizerBase) -> None:
    text = rendered(HERMES_LIKE, CONVERSATION, tokenizer)
    assert json.loads(text[len("<tools>") : text.index("}{")] + "}") == WEATHER.document()
    # Arguments are objects to the template: as text they would be quoted once more.
    assert text.count(HERMES.written("get_weather", '{"city": "Oslo"}')) == 2
    assert "tool: 18 C" in text
    assert LLAMA.written("get_weather", '{"city": "Oslo"}') in rendered(LLAMA_LIKE, CONVERSATION, tokenizer)


def test_arguments_that_were_cut_are_shown_as_they_are(tokenizer: PreTrainedTokenizerBase) -> None:
    cut = {**CALL, "function": {"name": "get_weather", "arguments": '{"city": "Os'}}
    for template in (HERMES_LIKE, OTHERS[0]):
        text = rendered(template, [ASKED, {"role": "assistant", "content": "", "tool_calls": [cut]}], tokenizer)
        assert '"Os' in text.replace("\\", "")


def test_the_stated_form_says_it_in_plain_messages() -> None:
    given = template_input(CONVERSATION, TOOLSET, calls_of_template(""))
    assert given.keys() == {"conversation"}
    system, user, assistant, results = given["conversation"]
    assert [message["role"] for message in given["conversation"]] == ["system", "user", "assistant", "user"]
    for function in TOOLSET.functions:
        assert json.dumps(function.document()) in system["content"]
    assert user == ASKED
    assert assistant == {
        "role": "assistant",
        "content": "\n".join([STATED.written("get_weather", '{"city": "Oslo"}')] * 2),
    }
    assert results["content"] == "<tool_response>\n18 C\n</tool_response>\n<tool_response>\n{sunny}\n</tool_response>"


def test_instructions_go_into_the_callers_system_message() -> None:
    system = {"role": "system", "content": "Be kind."}
    first, second = template_input([system, ASKED], TOOLSET, calls_of_template(""))["conversation"]
    assert first["content"].startswith("Be kind.\n\n")
    assert second == ASKED
    assert template_input([system, ASKED], None, calls_of_template(""))["conversation"] == [system, ASKED]


def test_a_tokenizer_with_several_templates_has_one_for_functions() -> None:
    assert template_text({"default": "a", "tool_use": "b"}) == "b"
    assert template_text({"default": "a"}) == "a"
    assert template_text(None) == ""
