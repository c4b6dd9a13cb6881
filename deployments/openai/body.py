"""What all request bodies have in common: null is a default, known fields that ask for nothing are left out."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from deployments.openai.neutral_fields import NOTHING, Neutral

MAX_UNKNOWN = 10
"""Unknown fields of one object that are looked at; one is enough to refuse it."""


@cache
def _field_names(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """All of a model's fields as they are written, and the optional ones."""
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    return frozenset(names), frozenset(name for name, field in names.items() if not field.is_required())


def _with_what_means_nothing(schema: dict[str, Any], model: type[Any]) -> None:
    """The JSON schema tells of these fields too, and that null is a default."""
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
    """Fields beside the model's own that a client may send for nothing."""
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
        """Characters of text that somebody has to tokenise."""
        return 0
