"""The settings of `/set`: the sampling fields of a request, with the names and limits of the HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.sampling_limits import LIMITS, MAX_STOP_CHARACTERS, MAX_STOPS, Limit
from adaptrix_core.suggestions import did_you_mean

DEFAULT_WORDS = frozenset({"default", "none"})
SHOWN_CHARACTERS = 80

_NUMBERS: Mapping[str, Limit] = {
    "max_tokens": replace(LIMITS["max_tokens"], low=1),
    **{
        name: LIMITS[name]
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
        return f"at most {MAX_STOPS} texts, one as typed or several as a JSON list"
    limit = _NUMBERS[name]
    return f"{'a whole number' if limit.is_whole else 'a number'} {limit}"


def _number(name: str, value: object) -> int | float:
    limit = _NUMBERS[name]
    number = _typed(value, int if limit.is_whole else float) if isinstance(value, str) else value
    is_number = isinstance(number, int if limit.is_whole else int | float) and not isinstance(number, bool)
    if not is_number or not limit.allows(number):  # type: ignore[arg-type]  # a number, as was just found
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
    if isinstance(listed, list | tuple) and len(listed) <= MAX_STOPS:
        texts = tuple(text for text in listed if isinstance(text, str) and 0 < len(text) <= MAX_STOP_CHARACTERS)
        if len(texts) == len(listed):
            return texts
    raise InvalidRequest(
        f"stop is {_shown(value)}; it must be at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters: "
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
