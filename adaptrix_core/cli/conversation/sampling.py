"""The settings of `/set`: the sampling fields of a request, with the names and limits of the HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST, SAMPLING_RANGES, Range
from adaptrix_core.suggestions import did_you_mean

DEFAULT_WORDS = frozenset({"default", "none"})
SHOWN_CHARACTERS = 80

_NUMBERS: Mapping[str, Range] = {
    "max_tokens": replace(SAMPLING_RANGES["max_tokens"], low=1),
    **{
        name: SAMPLING_RANGES[name]
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
        )
    },
}
NAMES = (*_NUMBERS, "stop")


def check_name(name: str) -> None:
    """Raise InvalidRequest, with the nearest name, unless there is a setting of this name."""
    if name not in NAMES:
        begun = [known for known in NAMES if name and known.startswith(name)]
        hint = f"did you mean {' or '.join(begun)}?" if begun else did_you_mean(name, NAMES, "there are")
        raise InvalidRequest(f"no setting {_shown(name)}; {hint}")


def sampling_value(name: str, value: object) -> Any:
    """The value of one setting, from a JSON value or from text as typed. Raises InvalidRequest, naming the setting."""
    check_name(name)
    return _stop(value) if name == "stop" else _number(name, value)


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as fields of a ChatRequest; None for the default."""
    return {name: () if name == "stop" and value is None else value for name, value in values.items()}


def described(name: str) -> str:
    """The allowed values of a setting, in words."""
    if name == "stop":
        return f"at most {MOST.stops} texts, one as typed or several as a JSON list"
    allowed = _NUMBERS[name]
    return f"{'a whole number' if allowed.is_whole else 'a number'} {allowed}"


def _number(name: str, value: object) -> int | float:
    allowed = _NUMBERS[name]
    number = _typed(value, int if allowed.is_whole else float) if isinstance(value, str) else value
    is_number = isinstance(number, int if allowed.is_whole else int | float) and not isinstance(number, bool)
    if not is_number or not allowed.allows(number):  # type: ignore[arg-type]  # a number, as was just found
        raise InvalidRequest(f"{name} is {_shown(value)}; it must be {described(name)}", param=name)
    return number  # type: ignore[return-value]


def _typed(text: str, kind: type[int] | type[float]) -> int | float | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _stop(value: object) -> tuple[str, ...]:
    listed = value
    if isinstance(value, str):
        listed = _json_list(value) if value.startswith("[") else [value]
    if isinstance(listed, list | tuple) and len(listed) <= MOST.stops:
        texts = tuple(text for text in listed if isinstance(text, str) and 0 < len(text) <= MOST.stop_characters)
        if len(texts) == len(listed):
            return texts
    raise InvalidRequest(
        f"stop is {_shown(value)}; it must be at most {MOST.stops} texts of 1 to {MOST.stop_characters} characters: "
        'END, or a JSON list such as ["END", "\\n\\n"]',
        param="stop",
    )


def _json_list(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(value: object) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, default=repr)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[: SHOWN_CHARACTERS - 1]}…"
