"""Conditions under which a row is computed under another mix: from the start, or from the middle of its answer on.

What a question is about is settled before the first token (`engine/groups/beginning.py`). Any other condition is a
function of the answer's tokens alone, of their text and their log-probabilities, so the same answer changes at the same
token wherever it is computed, and whoever continues it knows from its tokens what held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

_WINDOW = 8
"""Tokens that a condition on confidence looks at unless it says otherwise: about the length of a line of working."""


@dataclass(frozen=True)
class Marker:
    """The answer holds a text, such as a line break or ``Answer:``."""

    text: str


@dataclass(frozen=True)
class ConfidenceBelow:
    """The last tokens are unsure: the geometric mean of their probabilities falls below a limit."""

    limit: float
    """Above 0, at most 1. A score, no probability of being right."""
    over: int = _WINDOW
    """Tokens looked at, all of them computed under the mix of the moment."""


Condition = Marker | ConfidenceBelow


@dataclass(frozen=True)
class About:
    """The question is one for an adapter, by the base model's own reading of it where its trunk ends."""

    adapter: str


def read_condition(value: Any) -> Condition | About:
    """``{"about": "a"}``, ``{"marker": "\\n"}`` or ``{"confidence_below": 0.6, "over": 8}``. Raises InvalidRequest."""
    if isinstance(value, Mapping):
        if set(value) == {"marker"}:
            return _marker(value["marker"])
        if set(value) == {"about"}:
            return _about(value["about"])
        if "confidence_below" in value and set(value) <= {"confidence_below", "over"}:
            return _confidence_below(value["confidence_below"], value.get("over", _WINDOW))
    raise InvalidRequest(
        f'"if" is {value!r:.80}; it must be {{"about": an adapter\'s name}}, {{"marker": text}} or '
        '{"confidence_below": 0 to 1, "over": tokens}'
    )


def _marker(text: Any) -> Marker:
    if not isinstance(text, str) or not 1 <= len(text) <= MOST.stop_characters:
        raise InvalidRequest(f"marker is {text!r:.80}; it must be a text of 1 to {MOST.stop_characters} characters")
    return Marker(text)


def _confidence_below(limit: Any, over: Any) -> ConfidenceBelow:
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit <= 1:
        raise InvalidRequest(f"confidence_below is {limit!r:.80}; it must be a number above 0 and at most 1")
    if type(over) is not int or not 1 <= over <= MOST.condition_tokens:
        raise InvalidRequest(f"over is {over!r:.80}; it must be a number of tokens from 1 to {MOST.condition_tokens}")
    return ConfidenceBelow(float(limit), over)


def _about(name: Any) -> About:
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"about is {name!r:.80}; it must be the name of an adapter, which says what it is for")
    return About(name)


class AnswerSoFar:
    """An answer as conditions see it, token by token."""

    def __init__(self) -> None:
        self._text = ""
        self._searched = 0
        """Characters of the text that belong to an earlier mix."""
        self._logprobs: list[float] = []
        """Of the tokens since the last change."""

    def add(self, text: str, logprob: float | None) -> None:
        """Add a token. text: the whole answer's, this token included. logprob: natural, None where none is known."""
        self._text = text
        if logprob is not None:
            self._logprobs.append(logprob)

    def holds(self, condition: Condition) -> bool:
        """Whether the condition holds now."""
        if isinstance(condition, Marker):
            return self._text.find(condition.text, self._searched) >= 0
        last = self._logprobs[-condition.over :]
        return len(last) == condition.over and math.fsum(last) < condition.over * math.log(condition.limit)

    def changed(self) -> None:
        """Note that the mix changes here: what was written before no longer counts."""
        self._searched = len(self._text)
        self._logprobs.clear()
