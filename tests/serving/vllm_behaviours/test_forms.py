"""Structured outputs in chat and completions: the text has the form, and what is no form is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.serving.conftest import Local
from tests.serving.vllm_behaviours.rows import Row, chat, complete, refusal, rows, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHOICES = ["Python", "Java", "C++", "Rust"]
ADDRESS = r"((25[0-5]|2[0-4]\d|1\d{2}|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d{2}|[1-9]?\d)"
EMPLOYEE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "skills": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 1, "maxItems": 2},
        "remote": {"type": "boolean"},
    },
    "required": ["name", "age", "skills"],
}
SQL = """
root ::= select
select ::= "SELECT " column " from " table " where " condition
column ::= "col_1 " | "col_2 "
table ::= "table_1 " | "table_2 "
condition ::= column "= " number
number ::= "1 " | "2 "
"""
BROKEN = {"type": "object", "properties": {"brand": {"type": "string"}, "foo": "bar"}, "required": ["brand"]}
ENDPOINTS = pytest.mark.parametrize("ask", [chat, complete])


def is_employee(answer: Any) -> bool:
    jsonschema.validate(json.loads(text_of(answer)), EMPLOYEE)
    return True


def is_sql(answer: Any) -> bool:
    return re.fullmatch(r"SELECT col_[12]  from table_[12]  where col_[12] = [12] ", text_of(answer)) is not None


def one_of(answer: Any) -> bool:
    return text_of(answer) in CHOICES


def is_address(answer: Any) -> bool:
    return re.fullmatch(ADDRESS, text_of(answer)) is not None


def is_object(answer: Any) -> bool:
    return isinstance(json.loads(text_of(answer)), dict)


SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "employee", "schema": EMPLOYEE}}
STRICT_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "employee", "schema": {**EMPLOYEE, "additionalProperties": False}, "strict": True},
}
FORMS = rows(
    ("one of several texts", {"structured_outputs": {"choice": CHOICES}}, one_of),
    ("a schema", {"structured_outputs": {"json": EMPLOYEE}}, is_employee),
    ("a schema as text", {"structured_outputs": {"json": json.dumps(EMPLOYEE)}}, is_employee),
    ("a regular expression", {"structured_outputs": {"regex": ADDRESS}}, is_address),
    ("a grammar", {"structured_outputs": {"grammar": SQL}}, is_sql),
    ("the older name: texts", {"guided_choice": CHOICES}, one_of),
    ("the older name: a schema", {"guided_json": EMPLOYEE}, is_employee),
    ("the older name: a regular expression", {"guided_regex": ADDRESS}, is_address),
    ("the older name: a grammar", {"guided_grammar": SQL}, is_sql),
    ("OpenAI's format: a schema", {"response_format": SCHEMA_FORMAT}, is_employee),
    ("OpenAI's format: a strict schema", {"response_format": STRICT_FORMAT}, is_employee),
)


@ENDPOINTS
@FORMS
async def test_the_text_has_the_form(local: Local, ask: Any, row: Row) -> None:
    most = {"max_tokens": 400, "max_completion_tokens": None} if ask is chat else {"max_tokens": 400}
    assert row.holds(await ask(local, temperature=1.0, seed=5, **most, **row.fields))


async def test_log_probabilities_under_a_form_are_numbers_of_json(local: Local) -> None:
    answer = await chat(local, logprobs=True, top_logprobs=5, structured_outputs={"choice": CHOICES})
    told = answer["choices"][0]["logprobs"]["content"]
    assert all(likely["logprob"] >= -9999.0 for one in told for likely in one["top_logprobs"])


async def test_null_for_the_choice_of_a_tool_goes_with_a_form(local: Local) -> None:
    form = {"choice": CHOICES}
    assert one_of(await chat(local, structured_outputs=form, tool_choice=None, max_completion_tokens=30))


@ENDPOINTS
@rows(
    (
        "what is no regular expression but an object",
        {"structured_outputs": {"regex": {"1": "Python"}}},
        lambda error: "regex" in error.message,
    ),
    ("a schema with what is none inside", {"structured_outputs": {"json": BROKEN}}, lambda error: error.message),
    ("a regular expression that does not end", {"structured_outputs": {"regex": "[.*"}}, lambda error: error.message),
    (
        "a grammar with a rule that is not there",
        {"structured_outputs": {"grammar": "root ::= nowhere\n"}},
        lambda error: error.message,
    ),
    ("no texts to choose from", {"structured_outputs": {"choice": []}}, lambda error: "choice" in error.message),
    (
        "two forms at once",
        {"structured_outputs": {"choice": CHOICES, "regex": "a"}},
        lambda error: "in two ways" in error.message,
    ),
    (
        "a format without its schema",
        {"response_format": {"type": "json_schema"}},
        lambda error: "json_schema" in error.message,
    ),
)
async def test_what_is_no_form_is_refused(local: Local, ask: Any, row: Row) -> None:
    assert row.holds(await refusal(ask(local, **row.fields)))


async def test_an_object_of_json(local: Local) -> None:
    form = {"type": "json_object"}
    answers = [await chat(local, response_format=form, seed=seed, temperature=1.0, max_completion_tokens=None)
               for seed in range(2)]  # fmt: skip
    assert all(is_object(answer) for answer in answers if answer["choices"][0]["finish_reason"] == "stop")
