"""Output forms: what the text of an answer must look like, and the grammar that holds it to that.

A form is a JSON schema, a regular expression, a choice of texts, or a context-free grammar (Lark's or GBNF's notation).
JSON is compact, with at most one space after a comma or colon, and objects have the properties that the schema names
and no others, unless it says so: a small model does not find out of white space or of properties that it makes up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from adaptrix_core.errors import InvalidRequest

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

COMPACT: JsonCompileOptions = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""llguidance's options for JSON; a schema's own ``x-guidance`` overrides them."""

_OPENED_BY = ("additionalProperties", "patternProperties", "unevaluatedProperties")
"""Keywords by which a schema says itself which other properties an object may have."""
_COMBINED_BY = ("allOf", "anyOf", "oneOf", "if", "$ref", "dependentSchemas")
"""Keywords that add properties from other schemas, so that none of them can be closed by itself."""
_NO_SCHEMAS = ("enum", "const", "default", "examples", "required", "x-guidance")
_NAMES_TO_SCHEMAS = ("properties", "$defs", "definitions")


@dataclass(frozen=True)
class OutputForm:
    """The form that an answer's text must have."""

    kind: Literal["json_schema", "regex", "choice", "grammar"]
    value: Any
    """A JSON schema (a mapping or a boolean), a regular expression, a list of texts, or a grammar."""
    whitespace: str | None = None
    """Regular expression of the white space between the parts of JSON; None for compact JSON."""
    field: str = "response_format"
    """The field of the request that asked for it, for messages."""

    def grammar(self) -> str:
        """The form in llguidance's serialised form. Raises InvalidRequest for a grammar that cannot be read."""
        import llguidance  # here, so that who only hands a form on does not load it

        text = json.dumps(self.value) if self.kind == "choice" else self.value
        try:
            if self.kind == "json_schema":
                return json_grammar(self.value, self.whitespace)
            return str(llguidance.grammar_from(self.kind, text))
        except ValueError as error:
            raise InvalidRequest(f"the grammar cannot be read: {str(error)[:300]}", param=self.field) from error


def json_grammar(schema: Mapping[str, Any] | bool | None, whitespace: str | None = None) -> str:
    """The grammar of JSON texts that satisfy ``schema`` (any JSON object where it is None).

    whitespace: see `OutputForm`. Raises ValueError for options that cannot be used.
    """
    import llguidance

    if isinstance(schema, bool):  # the library takes objects only at the top
        schema = {} if schema else {"not": {}}
    wanted = closed(schema) if schema is not None else {"type": "object"}
    options: JsonCompileOptions = COMPACT if whitespace is None else {"whitespace_pattern": whitespace}
    return str(llguidance.LLMatcher.grammar_from_json_schema(json.dumps(wanted), defaults=options))


def closed(schema: Any) -> Any:
    """The schema with ``additionalProperties: false`` where it lists an object's properties and says nothing of others.

    Not where properties of several schemas come together: each would then forbid the others'.
    """
    return _closed(schema, frozenset(_parts_of_combinations(schema)))


def _closed(schema: Any, left_open: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_closed(entry, left_open) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NO_SCHEMAS or (key in _COMBINED_BY and "properties" in schema) or key == "allOf":
            made[key] = value
        elif key in _NAMES_TO_SCHEMAS and isinstance(value, dict):
            made[key] = {
                name: member if f"#/{key}/{name}" in left_open else _closed(member, left_open)
                for name, member in value.items()
            }
        else:
            made[key] = _closed(value, left_open)
    if "properties" in made and not any(key in made for key in (*_OPENED_BY, *_COMBINED_BY)):
        made["additionalProperties"] = False
    return made


def _parts_of_combinations(schema: Any, is_part: bool = False) -> list[str]:
    """The references to schemas whose properties come together with others'."""
    if isinstance(schema, list):
        return [reference for entry in schema for reference in _parts_of_combinations(entry, is_part)]
    if not isinstance(schema, dict):
        return []
    found = [schema["$ref"]] if (is_part or "properties" in schema) and isinstance(schema.get("$ref"), str) else []
    for key, value in schema.items():
        joins = key == "allOf" or (key in _COMBINED_BY and "properties" in schema)
        inside = is_part and key in _COMBINED_BY
        if key not in _NO_SCHEMAS:
            members = list(value.values()) if key in _NAMES_TO_SCHEMAS and isinstance(value, dict) else value
            found += _parts_of_combinations(members, joins or inside)
    return found
