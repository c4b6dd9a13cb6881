"""The base of all request bodies: null means the default, and known fields that ask for nothing are dropped."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from deployments.openai.neutral_fields import NOTHING, Neutral

MAX_UNKNOWN = 10
"""Most unknown fields of one object that are reported; one is enough to refuse it."""


@cache
def _field_names(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """(all of a model's fields, the optional ones), by the names in documents."""
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    return frozenset(names), frozenset(name for name, field in names.items() if not field.is_required())


def _with_what_means_nothing(schema: dict[str, Any], model: type[Any]) -> None:
    """Add these fields, and null as the default, to the JSON schema."""
    properties: dict[str, Any] = schema.setdefault("properties", {})
    required = schema.get("required", ())
    for name, told in properties.items():
        if name not in required and {"type": "null"} not in told.get("anyOf", ()):
            about = {key: told.pop(key) for key in ("title", "description", "default") if key in told}
            properties[name] = {"anyOf": [told, {"type": "null"}], **about}
    properties.update(model.neutral.schema())


class Body(BaseModel):
    """Base of all request bodies: strict types, unknown fields refused, null for an optional field is its default."""

    neutral: ClassVar[Neutral] = NOTHING
    """Fields beside the model's own that a client may send although they do nothing."""
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_with_what_means_nothing,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_what_means_nothing(cls, document: object) -> object:
        if not isinstance(document, dict):
            return document
        known, optional = _field_names(cls)
        if known.issuperset(document) and not any(value is None for value in document.values()):
            return document
        kept: dict[str, object] = {}
        num_unknown = 0
        for name, value in document.items():
            if name not in known:
                num_unknown += not (means_nothing := cls.neutral.means_nothing(name, value))
                if means_nothing or num_unknown > MAX_UNKNOWN:
                    continue
            elif value is None and name in optional:
                continue
            kept[name] = value
        return kept

    def num_characters(self) -> int:
        """Characters of text that have to be tokenised."""
        return 0
