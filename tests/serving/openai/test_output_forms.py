"""Forms of an answer, in the spellings of OpenAI, vLLM and SGLang: the text keeps to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from deployments.openai.schemas import CompletionRequest
from tests.serving.conftest import BASE_ID, Local

SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 99}}, "required": ["sum"]}
TWO_DIGITS = "[1-9][0-9]"
CHOICES = ["positive", "negative"]
EBNF = 'root ::= "x" ("y" | "z")'
ASK = {"model": BASE_ID, "max_tokens": 24, "temperature": 1.0, "seed": 7}


def is_sum(text: str) -> bool:
    return set(json.loads(text)) == {"sum"}


FORMS: list[tuple[dict[str, Any], Any]] = [
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}}}, is_sum),
    ({"structured_outputs": {"json": SCHEMA}}, is_sum),
    ({"structured_outputs": {"json": json.dumps(SCHEMA), "disable_any_whitespace": True}}, is_sum),
    ({"guided_json": SCHEMA, "guided_decoding_backend": "xgrammar"}, is_sum),
    ({"guided_json": json.dumps(SCHEMA)}, is_sum),
    ({"json_schema": json.dumps(SCHEMA)}, is_sum),
    ({"structured_outputs": {"regex": TWO_DIGITS}}, TWO_DIGITS),
    ({"guided_regex": TWO_DIGITS}, TWO_DIGITS),
    ({"regex": TWO_DIGITS}, TWO_DIGITS),
    ({"structured_outputs": {"choice": CHOICES}}, "positive|negative"),
    ({"guided_choice": CHOICES}, "positive|negative"),
    ({"structured_outputs": {"grammar": EBNF}}, "x[yz]"),
    ({"guided_grammar": EBNF}, "x[yz]"),
    ({"ebnf": EBNF}, "x[yz]"),
]


@pytest.mark.parametrize(
    ("fields", "wanted"), FORMS, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_the_text_has_the_form(local: Local, path: str, fields: dict[str, Any], wanted: Any) -> None:
    prompt: dict[str, Any] = {"prompt": "Say it."}
    if path.startswith("chat"):
        prompt = {"messages": [{"role": "user", "content": "Say it."}]}
    answer = await local.http.post(f"/v1/{path}", json={**ASK, **prompt, **fields})
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert wanted(text) if callable(wanted) else re.fullmatch(wanted, text), text


@pytest.mark.parametrize(
    "fields",
    [
        {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": "\n"}},
        {"guided_json": SCHEMA, "guided_whitespace_pattern": "\n"},
    ],
)
def test_white_space_is_as_asked_for(fields: dict[str, Any]) -> None:
    form = CompletionRequest.model_validate({**ASK, "prompt": "x", **fields}).output_form()
    assert form is not None
    assert (form.kind, form.value, form.whitespace) == ("json_schema", SCHEMA, "\n")


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"regex": "a", "ebnf": EBNF}, None, "regex and ebnf both say what the answer looks like"),
        ({"guided_choice": CHOICES, "structured_outputs": {"regex": "a"}}, None, "both say"),
        ({"guided_choice": []}, None, None),
        ({"guided_choice": ["x"] * 1025}, "guided_choice", "1024"),
        ({"guided_json": "{"}, "guided_json", "is no JSON text"),
        ({"guided_json": False}, "guided_json", "the grammar"),
        ({"guided_json": "3"}, "guided_json", "is the text of int"),
        ({"guided_json": 3}, "guided_json", "should be a JSON schema"),
        ({"guided_regex": "(" * 50}, "guided_regex", "the grammar cannot be used"),
        ({"ebnf": "root ::= ("}, "ebnf", "the grammar cannot be read"),
        ({"guided_json": {"type": "no-such-type"}}, "guided_json", "the grammar cannot be used"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag", "structural_tag"),
        ({"structured_outputs": {"regexp": "x"}}, "structured_outputs.regexp", "regexp"),
        ({"guided_regex": "(.*a.{9}b.*&.*a.{10}b.*)" * 40}, "guided_regex", None),
    ],
)
async def test_a_form_that_cannot_be_used_is_refused_by_the_field_that_asked(
    local: Local, fields: dict[str, Any], param: str | None, message: str | None
) -> None:
    answer = await local.http.post("/v1/completions", json={**ASK, "prompt": "Say it.", **fields})
    if message is None:
        assert answer.status_code in (200, 400)
        return
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert param is None or error["param"] == param
    assert message in error["message"]
