"""The fields by which clients say what the text of an answer must look like: OpenAI's, vLLM's and SGLang's.

At most one of them may ask for a form. Knows spellings; what a form means is in the core (`rows/output_form.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator
from pydantic_core import from_json

from adaptrix_core.engine.rows.output_form import OutputForm
from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind
from deployments.openai.neutral_fields import STRUCTURED_OUTPUTS


def _schema_or_text(value: object) -> str | None:
    if isinstance(value, str):
        return "str"
    return "schema" if isinstance(value, dict | bool) else None


Pattern = Annotated[str, Field(min_length=1, max_length=MOST.grammar_characters)]
Choices = Annotated[list[Pattern], Field(min_length=1, max_length=MOST.choices, fail_fast=True)]
SchemaOrText = Annotated[
    Annotated[dict[str, Any] | bool, Tag("schema")] | Annotated[Pattern, Tag("str")],
    by_kind(_schema_or_text, "should be a JSON schema, or the text of one"),
]
"""vLLM takes a schema, or its JSON text."""


def _schema(given: dict[str, Any] | bool | str | None) -> dict[str, Any] | bool | None:
    """The schema; read where it is the text of one. Raises ValueError."""
    if not isinstance(given, str):
        return given
    try:
        schema = from_json(given)
    except ValueError as error:
        raise ValueError(f"is no JSON text: {error}") from None
    if not isinstance(schema, dict | bool):
        raise ValueError(f"is the text of {type(schema).__name__}, not of a JSON schema")
    return schema


class JsonSchema(Body):
    """A named JSON schema, as in OpenAI's structured outputs."""

    name: str = Field(min_length=1, max_length=MOST.schema_name_characters)
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Body):
    """The form that the answer must have."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_where_needed(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with type 'json_schema', and with no other: send both, or neither")
        return self

    def form(self) -> OutputForm | None:
        """The form; None for free text."""
        if self.type == "text":
            return None
        return OutputForm("json_schema", self.json_schema.schema_ if self.json_schema else {"type": "object"})


class StructuredOutputs(Body):
    """vLLM's way to ask for a form: one of these."""

    neutral = STRUCTURED_OUTPUTS
    json_: SchemaOrText | None = Field(None, alias="json")
    """A schema, or its text."""
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Pattern | None = None
    """In Lark's or in GBNF's notation."""
    json_object: bool = False
    whitespace_pattern: Pattern | None = None
    """White space between the parts of JSON, as a regular expression; without it JSON is compact."""

    @field_validator("json_")
    @classmethod
    def _is_a_schema(cls, given: Any) -> Any:
        return _schema(given)


class FormedBody(Body):
    """Fields that say what the answer's text must look like."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: SchemaOrText | None = None
    """An older name of `structured_outputs.json`; so are the next four of its other fields."""
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Pattern | None = None
    guided_whitespace_pattern: Pattern | None = None
    json_schema: Pattern | None = None
    """SGLang's: the text of a JSON schema."""
    regex: Pattern | None = None
    """SGLang's."""
    ebnf: Pattern | None = None
    """SGLang's: a grammar."""

    @field_validator("guided_json", "json_schema")
    @classmethod
    def _is_a_schema(cls, given: Any) -> Any:
        return _schema(given)

    @model_validator(mode="after")
    def _asks_for_one_form(self) -> Self:
        self.output_form()
        return self

    def output_form(self) -> OutputForm | None:
        """The form that is asked for; None for free text. Raises ValueError where two are."""
        forms = [form for form in self._forms() if form is not None]
        if len(forms) > 1:
            one, other = forms[0].field, forms[1].field
            twice = f"{one} says in two ways" if one == other else f"{one} and {other} both say"
            raise ValueError(f"{twice} what the answer looks like; send one")
        return forms[0] if forms else None

    def _forms(self) -> list[OutputForm | None]:
        asked = self.structured_outputs or StructuredOutputs()
        space, old_space = asked.whitespace_pattern, self.guided_whitespace_pattern
        within = "structured_outputs"
        return [
            self.response_format.form() if self.response_format else None,
            _form("json_schema", asked.json_, within, space),
            OutputForm("json_schema", {"type": "object"}, space, within) if asked.json_object else None,
            _form("regex", asked.regex, within),
            _form("choice", asked.choice, within),
            _form("grammar", asked.grammar, within),
            _form("json_schema", self.guided_json, "guided_json", old_space),
            _form("regex", self.guided_regex, "guided_regex"),
            _form("choice", self.guided_choice, "guided_choice"),
            _form("grammar", self.guided_grammar, "guided_grammar"),
            _form("json_schema", self.json_schema, "json_schema"),
            _form("regex", self.regex, "regex"),
            _form("grammar", self.ebnf, "ebnf"),
        ]


def _form(
    kind: Literal["json_schema", "regex", "choice", "grammar"], value: Any, field: str, whitespace: str | None = None
) -> OutputForm | None:
    return None if value is None else OutputForm(kind, value, whitespace, field)
