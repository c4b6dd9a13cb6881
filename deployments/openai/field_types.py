"""The types of the fields in request bodies: forms, lengths and ranges. Faults are found early and reported shortly.

Lists stop at their first fault, and a value that may have several forms is read as the form that its type implies.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from adaptrix_core.request_limits import MOST, SAMPLING_RANGES


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("should be a string of base64")
    return base64.b64decode(value, validate=True)


def within(name: str) -> Interval:
    """The range of a sampling parameter, in pydantic's form."""
    allowed = SAMPLING_RANGES[name]
    low, high = allowed.low, allowed.high
    return Interval(gt=low, le=high) if allowed.above_low else Interval(ge=low, le=high)


def no_larger(limit: int) -> BeforeValidator:
    """Refuse a larger object before its members are looked at: each could be a fault."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > limit:
            raise ValueError(f"should have at most {limit} members, not {len(value)}")
        return value

    return BeforeValidator(check)


def by_kind(kinds: Callable[[Any], str | None], message: str) -> Discriminator:
    """Choose a value's form by its type, so that faults are those of one form, not of every possible one."""
    return Discriminator(kinds, custom_error_type="wrong_type", custom_error_message=message)


def text_or_parts(value: object) -> str | None:
    """The form of a message's content: ``str``, ``list[part]``, or None for neither."""
    kinds: dict[type, str] = {str: "str", list: "list[part]"}
    return kinds.get(type(value))


def _kind_of_prompt(value: object) -> str | None:
    if not isinstance(value, list):
        return "str" if isinstance(value, str) else None
    kinds: dict[type, str] = {str: "list[str]", list: "list[list[int]]"}
    return kinds.get(type(value[0]) if value else str, "list[int]")


def texts_or_tokens(value: str | list[str] | list[int] | list[list[int]]) -> list[str | tuple[int, ...]]:
    """What a `Prompt` or an `Input` holds, in order: each as text or as token ids, all alike."""
    if isinstance(value, str):
        return [value]
    if value and isinstance(value[0], int):
        return [tuple(token for token in value if isinstance(token, int))]
    return [one if isinstance(one, str) else tuple(one) for one in value if not isinstance(one, int)]


def _number_or_numbers(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return "list[float]" if isinstance(value, list) else "float" if isinstance(value, (int, float)) else None


def text_or_texts(value: object) -> str | None:
    """The form of a value that is ``str`` or ``list[str]``; None for neither."""
    kinds: dict[type, str] = {str: "str", list: "list[str]"}
    return kinds.get(type(value))


Base64 = Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Name = Annotated[str, Field(max_length=MOST.model_characters)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
WeightOrWeights = Annotated[
    Annotated[Weight, Tag("float")]
    | Annotated[list[Weight], Field(min_length=1, max_length=MOST.mix_layers, fail_fast=True), Tag("list[float]")],
    by_kind(_number_or_numbers, "should be a number, or a list of numbers"),
]
Layer = Annotated[int, Field(ge=0, le=MOST.mix_layers)]
TokenId = Annotated[int, Field(ge=0, le=MOST.whole_number)]
CacheSalt = Annotated[str, Field(max_length=MOST.cache_salt_characters)]
Count = Annotated[int, Field(ge=1, le=MOST.whole_number)]
Bias = Annotated[float, within("logit_bias"), Field(allow_inf_nan=False)]
LogitBias = Annotated[dict[Annotated[int, Field(ge=0, strict=False)], Bias], no_larger(MOST.biases)]
Stop = Annotated[
    Annotated[str, Field(max_length=MOST.stop_characters), Tag("str")]
    | Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MOST.stop_characters)]],
        Field(max_length=MOST.stops, fail_fast=True),
        Tag("list[str]"),
    ],
    by_kind(text_or_texts, "should be text or a list of texts"),
]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
Prompt = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, max_length=MOST.prompts, fail_fast=True), Tag("list[str]")]
    | Annotated[Tokens, Tag("list[int]")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MOST.prompts, fail_fast=True), Tag("list[list[int]]")],
    by_kind(_kind_of_prompt, "should be text, a list of texts, token ids, or a list of lists of token ids"),
]
Input = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, max_length=MOST.embedded_texts, fail_fast=True), Tag("list[str]")]
    | Annotated[Tokens, Tag("list[int]")]
    | Annotated[
        list[Tokens], Field(min_length=1, max_length=MOST.embedded_texts, fail_fast=True), Tag("list[list[int]]")
    ],
    by_kind(_kind_of_prompt, "should be text, a list of texts, token ids, or a list of lists of token ids"),
]
