"""The types of the fields in request bodies: forms, lengths and ranges. Faults are found early and reported shortly.

Lists stop at their first fault, and a value that may have several forms is read as the form that its type implies.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from adaptrix_core.sampling_limits import LIMITS, MAX_BIASES, MAX_STOP_CHARACTERS, MAX_STOPS

MAX_NAME = 2048
"""Longest name of a model, an adapter or a mix, in characters."""
MAX_FORKS = 16
MAX_MIX = 64
"""Terms of a mix that are read; how many may be mixed is the core's to say (`injection/mix.py`)."""
MAX_LAYERS = 1024
MAX_PROMPTS = 64
MAX_MESSAGES = 1024
MAX_PARTS = 1024
MAX_TEXTS = 2048
MAX_INTEGER = 2**31 - 1


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("should be a string of base64")
    return base64.b64decode(value, validate=True)


def within(name: str) -> Interval:
    """The range of a sampling parameter, in pydantic's form."""
    limit = LIMITS[name]
    return Interval(gt=limit.low, le=limit.high) if limit.above_low else Interval(ge=limit.low, le=limit.high)


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


def _number_or_numbers(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return "list[float]" if isinstance(value, list) else "float" if isinstance(value, (int, float)) else None


def _text_or_texts(value: object) -> str | None:
    kinds: dict[type, str] = {str: "str", list: "list[str]"}
    return kinds.get(type(value))


Base64 = Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Name = Annotated[str, Field(max_length=MAX_NAME)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
WeightOrWeights = Annotated[
    Annotated[Weight, Tag("float")]
    | Annotated[list[Weight], Field(min_length=1, max_length=MAX_LAYERS, fail_fast=True), Tag("list[float]")],
    by_kind(_number_or_numbers, "should be a number, or a list of numbers"),
]
Layer = Annotated[int, Field(ge=0, le=MAX_LAYERS)]
TokenId = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Count = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Bias = Annotated[float, within("logit_bias"), Field(allow_inf_nan=False)]
LogitBias = Annotated[dict[Annotated[int, Field(ge=0, strict=False)], Bias], no_larger(MAX_BIASES)]
Stop = Annotated[
    Annotated[str, Field(max_length=MAX_STOP_CHARACTERS), Tag("str")]
    | Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]],
        Field(max_length=MAX_STOPS, fail_fast=True),
        Tag("list[str]"),
    ],
    by_kind(_text_or_texts, "should be text or a list of texts"),
]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
Prompt = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True), Tag("list[str]")]
    | Annotated[Tokens, Tag("list[int]")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True), Tag("list[list[int]]")],
    by_kind(_kind_of_prompt, "should be text, a list of texts, token ids, or a list of lists of token ids"),
]
Input = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True), Tag("list[str]")],
    by_kind(_text_or_texts, "should be text or a list of texts"),
]
