"""The grammar of calls: what it allows, judged by the library that will hold the model to it."""

from __future__ import annotations

import json
from typing import Any

import llguidance
import llguidance.hf
import pytest
from transformers import PreTrainedTokenizerBase

from adaptrix_core.engine.rows.call_grammar import call_grammar
from adaptrix_core.engine.rows.output_form import OutputForm
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from adaptrix_core.tools.call_form import HERMES, LLAMA, CallForm
from adaptrix_core.tools.toolset import Function, Toolset
from tests.tiny_models import byte_tokenizer

CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}, "required": ["city"]}
WEATHER, NOW = Function("get_weather", "", CITY), Function("get_weather_now")
BOTH = (WEATHER, NOW)
OSLO = HERMES.written("get_weather", '{"city": "Oslo"}')


@pytest.fixture(scope="module")
def tables(tokenizer: PreTrainedTokenizerBase) -> llguidance.LLTokenizer:
    return llguidance.hf.from_tokenizer(tokenizer)


def allows(tables: llguidance.LLTokenizer, grammar: str, text: str, *, whole: bool = True) -> bool:
    """Whether the text is an answer by the grammar; with ``whole=False``, whether it is the beginning of one."""
    matcher = llguidance.LLMatcher(tables, grammar)
    assert not matcher.is_error(), matcher.get_error()
    tokens = tables.tokenize_str(text)
    return bool(matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens)) and (
        not whole or bool(matcher.is_accepting())
    )


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        (OSLO, True),
        (HERMES.written("get_weather_now", "{}"), True),
        (OSLO + "\n" + OSLO, True),
        (OSLO + OSLO, False),
        (OSLO + "\nHello", False),
        ("Hello", False),
        ("", False),
        (HERMES.written("other", "{}"), False),
        (HERMES.written("get_weather", "{}"), False),
        (HERMES.written("get_weather", '{"city": 1}'), False),
        (HERMES.written("get_weather", '{"city": "Oslo", "more": 1}'), False),
        (HERMES.written("get_weather", '{"city": "a city too long"}'), False),
        ("\n".join([OSLO] * MOST.calls), True),
        ("\n".join([OSLO] * (MOST.calls + 1)), False),
    ],
)
def test_an_answer_that_must_call(tables: llguidance.LLTokenizer, text: str, is_allowed: bool) -> None:
    assert allows(tables, call_grammar(Toolset(BOTH, must_call=True, is_parallel=True), HERMES), text) is is_allowed


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("Hello", True),
        ("", True),
        ("a < b, <tool and </tool_call>", True),
        (OSLO, True),
        ("I look.\n" + OSLO + "\n" + OSLO, True),
        ("<tool_call>Hello", False),
        ("Look: <tool_call>" + HERMES.head("other"), False),
        (HERMES.written("get_weather", '{"city": 1}'), False),
        (OSLO + "\nIt is warm", False),
    ],
)
def test_an_answer_that_may_call(tables: llguidance.LLTokenizer, text: str, is_allowed: bool) -> None:
    assert allows(tables, call_grammar(Toolset(BOTH, is_parallel=True), HERMES), text) is is_allowed


@pytest.mark.parametrize("must_call", [True, False])
def test_one_call_alone(tables: llguidance.LLTokenizer, must_call: bool) -> None:
    grammar = call_grammar(Toolset(BOTH, must_call=must_call, is_parallel=False), HERMES)
    assert allows(tables, grammar, OSLO)
    assert not allows(tables, grammar, OSLO + "\n" + OSLO)


def test_only_the_functions_of_the_choice(tables: llguidance.LLTokenizer) -> None:
    grammar = call_grammar(Toolset(BOTH, must_call=True, callable_names=frozenset({"get_weather_now"})), HERMES)
    assert not allows(tables, grammar, OSLO)
    assert allows(tables, grammar, HERMES.written("get_weather_now", "{}"))


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        (LLAMA.written("get_weather", '{"city": "Oslo"}'), True),
        ("It is warm {really}", True),
        (LLAMA.written("other", "{}"), False),
        (LLAMA.written("get_weather", "{}"), False),
    ],
)
def test_a_form_without_a_marker(tables: llguidance.LLTokenizer, text: str, is_allowed: bool) -> None:
    assert allows(tables, call_grammar(Toolset(BOTH), LLAMA), text) is is_allowed


JSON_FORM = OutputForm(
    "json_schema", {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
)


@pytest.mark.parametrize("form", [HERMES, LLAMA], ids=lambda form: form.name)
def test_text_beside_calls_has_the_form_that_was_asked_for(tables: llguidance.LLTokenizer, form: CallForm) -> None:
    grammar = call_grammar(Toolset(BOTH), form, JSON_FORM)
    assert allows(tables, grammar, '{"sum": 4}')
    assert allows(tables, grammar, form.written("get_weather_now", "{}"))
    assert not allows(tables, grammar, "Hello")
    named = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert allows(tables, call_grammar(Toolset(BOTH), form, OutputForm("json_schema", named)), '{"name": "Ada"}')
    chosen = call_grammar(Toolset(BOTH), form, OutputForm("choice", ["yes", "no"]))
    assert allows(tables, chosen, "yes")
    assert not allows(tables, chosen, "maybe")


def test_forms_that_cannot_be_combined_are_refused_by_their_field() -> None:
    with pytest.raises(InvalidRequest, match="guided_regex") as refused:
        call_grammar(Toolset(BOTH), HERMES, OutputForm("regex", "a+", field="guided_regex"))
    assert refused.value.param == "guided_regex"


def test_schemas_that_are_too_long_together_are_refused_before_all_of_them_are_written() -> None:
    long = {"type": "object", "properties": {"a": {"enum": ["x" * (MOST.grammar_characters // 4)]}}}
    with pytest.raises(InvalidRequest, match="characters together") as refused:
        call_grammar(Toolset(tuple(Function(f"f{number}", "", long) for number in range(5))), HERMES)
    assert (refused.value.code, refused.value.param) == ("grammar_too_large", "tools")


def test_keywords_that_cannot_be_held_to_matter_to_strict_functions_only(tables: llguidance.LLTokenizer) -> None:
    schema: dict[str, Any] = {**CITY, "properties": {"city": {"type": "string", "format": "airport-code"}}}
    lenient = call_grammar(Toolset((Function("get_weather", "", schema),)), HERMES)
    assert allows(tables, lenient, OSLO)
    strict = call_grammar(Toolset((Function("get_weather", "", schema, is_strict=True),)), HERMES)
    assert llguidance.LLMatcher(tables, strict).is_error()


def test_markers_that_are_tokens_of_the_model() -> None:
    """As in Qwen's and Hermes' vocabularies."""
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<tool_call>", "</tool_call>"], special_tokens=True)
    ids = {marker: tokenizer.convert_tokens_to_ids(marker) for marker in ("<tool_call>", "</tool_call>")}
    tables = llguidance.hf.from_tokenizer(tokenizer)
    for toolset in (Toolset(BOTH), Toolset(BOTH, must_call=True)):
        matcher = llguidance.LLMatcher(tables, call_grammar(toolset, HERMES, None, ids))
        tokens = tokenizer.encode(OSLO, add_special_tokens=False)
        assert {tokens[0], tokens[-1]} == set(ids.values())
        assert matcher.consume_tokens(tokens), json.dumps(matcher.get_error())
        assert matcher.is_accepting()
