"""Output forms: JSON is compact, objects are closed where nothing adds to them, a form admits what it says."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine.rows.constraint import GrammarCompiler
from adaptrix_core.engine.rows.output_form import OutputForm, closed
from adaptrix_core.errors import InvalidRequest

A = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED_A = {**A, "additionalProperties": False}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}, "ok": {"type": "boolean"}}, "required": ["sum"]}


@pytest.fixture(scope="module")
def compiler(tokenizer: PreTrainedTokenizerFast) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, len(tokenizer))


def admits(compiler: GrammarCompiler, form: OutputForm, text: str) -> bool:
    """Whether a form admits exactly this text."""
    tables = compiler.build_tables()
    matcher = compiler.compile(form.grammar())._matcher
    tokens = tables.tokenize_str(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


@pytest.mark.parametrize(
    ("form", "texts", "others"),
    [
        (
            OutputForm("json_schema", SUM),
            ['{"sum":42}', '{"sum": 42, "ok": true}', '{"sum":42,"ok":false}'],
            ['{"sum":  42}', '{\n"sum":42}', '{"sum":42,"more":1}', '{"ok":true}', '{"sum":42} '],
        ),
        (OutputForm("json_schema", {**SUM, "additionalProperties": True}), ['{"sum":42,"more":1}'], ['{"sum":"x"}']),
        (OutputForm("json_schema", SUM, r"\n?"), ['{\n"sum":\n42\n}', '{"sum":42}'], ['{"sum": 42}']),
        (OutputForm("json_schema", {"type": "object"}), ['{"x":[1,{"y":null}]}', "{}"], ["[]", "1"]),
        (OutputForm("json_schema", True), ["[1]", '"x"', "null"], ["x"]),
        (OutputForm("regex", "[0-9]{2,3}"), ["42", "420"], ["4", "4200", "x"]),
        (OutputForm("choice", ["yes", 'no "x"']), ["yes", 'no "x"'], ["no", "yes."]),
        (OutputForm("grammar", 'root ::= "a" root | "b"'), ["b", "aab"], ["a", "ba"]),
        (OutputForm("grammar", 'start: "x" /[0-9]+/'), ["x1", "x22"], ["x", "1"]),
    ],
)
def test_a_form_admits_what_it_says_and_nothing_else(
    compiler: GrammarCompiler, form: OutputForm, texts: list[str], others: list[str]
) -> None:
    assert [text for text in texts if not admits(compiler, form, text)] == []
    assert [text for text in others if admits(compiler, form, text)] == []


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (A, CLOSED_A),
        ({"type": "array", "items": A}, {"type": "array", "items": CLOSED_A}),
        ({"anyOf": [A, {"type": "null"}]}, {"anyOf": [CLOSED_A, {"type": "null"}]}),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {"$ref": "#/$defs/A", "$defs": {"A": CLOSED_A}}),
        ({"properties": {"properties": A}}, {"properties": {"properties": CLOSED_A}, "additionalProperties": False}),
        ({**A, "additionalProperties": True}, {**A, "additionalProperties": True}),
        ({**A, "patternProperties": {"^x": True}}, {**A, "patternProperties": {"^x": True}}),
        ({"type": "object"}, {"type": "object"}),
        ({"allOf": [A, A]}, {"allOf": [A, A]}),
        ({**A, "anyOf": [A]}, {**A, "anyOf": [A]}),
        (
            {"allOf": [{"$ref": "#/$defs/A"}, A], "$defs": {"A": A, "B": A}},
            {"allOf": [{"$ref": "#/$defs/A"}, A], "$defs": {"A": A, "B": CLOSED_A}},
        ),
        (
            {**A, "$ref": "#/definitions/A", "definitions": {"A": A}},
            {**A, "$ref": "#/definitions/A", "definitions": {"A": A}},
        ),
        ({"const": {"properties": {}}}, {"const": {"properties": {}}}),
        (True, True),
    ],
)
def test_objects_are_closed_where_no_other_schema_adds_to_them(schema: Any, wanted: Any) -> None:
    assert closed(schema) == wanted


def test_a_grammar_that_cannot_be_read_is_refused_by_the_fields_name() -> None:
    with pytest.raises(InvalidRequest, match="cannot be read") as refused:
        OutputForm("grammar", "root ::= (", field="ebnf").grammar()
    assert refused.value.param == "ebnf"
