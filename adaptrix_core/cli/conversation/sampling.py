"""What `/set` may set: the sampling fields of a request, by the names and within the ranges of the HTTP API."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import InvalidRequest

DEFAULT_WORDS = frozenset({"default", "none"})


@dataclass(frozen=True)
class _Number:
    kind: type
    low: float
    high: float | None = None
    low_excluded: bool = False

    def read(self, name: str, value: object) -> int | float:
        """``value`` as a number of this range, or InvalidRequest that says what is allowed."""
        number = self._number(value)
        if number is None or not self._holds(number):
            raise InvalidRequest(f"{name} is {_shown(value)}; it must be {self.described()}", param=name)
        return number

    def _number(self, value: object) -> int | float | None:
        if isinstance(value, str):
            try:
                return self.kind(value)
            except ValueError:
                return None
        wanted = (int,) if self.kind is int else (int, float)
        return value if isinstance(value, wanted) and not isinstance(value, bool) else None

    def _holds(self, number: float) -> bool:
        above = number > self.low if self.low_excluded else number >= self.low
        return math.isfinite(number) and above and (self.high is None or number <= self.high)

    def described(self) -> str:
        """The range in words."""
        noun = "a whole number" if self.kind is int else "a number"
        low = f"{'above' if self.low_excluded else 'from'} {self.low}"
        return f"{noun} {low}" + ("" if self.high is None else f" to {self.high}")


RANGES: Mapping[str, _Number] = {
    "max_tokens": _Number(int, 1),
    "temperature": _Number(float, 0, 2),
    "top_p": _Number(float, 0, 1, low_excluded=True),
    "top_k": _Number(int, 0, 2**31 - 1),
    "min_p": _Number(float, 0, 1),
    "seed": _Number(int, -(2**63) + 1, 2**63 - 1),
    "presence_penalty": _Number(float, -2, 2),
    "frequency_penalty": _Number(float, -2, 2),
    "repetition_penalty": _Number(float, 0, 10, low_excluded=True),
}
MAX_STOPS, MAX_STOP_CHARS = 16, 256
NAMES = (*RANGES, "stop")


def check_name(name: str) -> None:
    """Raise InvalidRequest, with the nearest name, unless a setting is called so."""
    if name not in NAMES:
        begun = [known for known in NAMES if name and known.startswith(name)]
        near = begun or difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(NAMES)}"
        raise InvalidRequest(f"no setting {_shown(name)}; {hint}")


def sampling_value(name: str, value: object) -> Any:
    """The value of one setting, from a JSON value or from text as typed. Raises InvalidRequest, naming the setting."""
    check_name(name)
    return _stop(value) if name == "stop" else RANGES[name].read(name, value)


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as fields of a ChatRequest; None for the default."""
    return {name: () if name == "stop" and value is None else value for name, value in values.items()}


def described(name: str) -> str:
    """What a field may be, in words."""
    return RANGES[name].described() if name in RANGES else f"at most {MAX_STOPS} texts, as typed or as a JSON list"


def _stop(value: object) -> tuple[str, ...]:
    listed = value
    if isinstance(value, str):
        listed = _json_list(value) if value.startswith("[") else [value]
    if isinstance(listed, list | tuple) and len(listed) <= MAX_STOPS:
        texts = tuple(text for text in listed if isinstance(text, str) and 0 < len(text) <= MAX_STOP_CHARS)
        if len(texts) == len(listed):
            return texts
    raise InvalidRequest(
        f"stop is {_shown(value)}; it must be at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARS} characters: "
        'END, or a JSON list such as ["END", "\\n\\n"]',
        param="stop",
    )


def _json_list(text: str) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _shown(value: object) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, default=repr)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
