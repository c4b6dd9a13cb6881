"""Which parameters of a request a composition can honour; the others are refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adaptrix_core.composition.parts import Part, Steps
from adaptrix_core.errors import InvalidRequest

_ONE_ANSWER = "a composition that votes or goes in steps gives one answer; leave n out, or vote over more samples"
_NO_TOOLS = (
    "functions cannot be called in a composition that votes or goes in steps; name one adapter, or leave tools out"
)
_NO_ECHO = "the prompt of a composition that votes or goes in steps cannot be echoed; leave echo out"
_NO_GOING_ON = "a composition that goes in steps asks questions of its own; leave continue_final_message out"
_NO_SCORES = "log-probabilities of the prompt cannot be told for a composition of several rows or steps; leave them out"


def check_parameters(part: Part[Any], asked: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for what cannot be honoured.

    asked: by name, the fields of `_not_honoured`, those that the request may have.
    """
    for param, why in _not_honoured(part, asked):
        raise InvalidRequest(why, param=param)


def can_go_in_steps(asked: Mapping[str, Any]) -> bool:
    """Whether a sequence of steps can honour what a request asks for."""
    return not any(_not_honoured(Steps(()), asked))


def _not_honoured(part: Part[Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields that are asked for and cannot be had, each with the reason."""
    several = isinstance(part, Steps) or part.combine == "vote"
    for param, is_asked, holds, why in (
        ("n", (asked.get("n") or 1) > 1, several, _ONE_ANSWER),
        ("tools", bool(asked.get("tools")), several, _NO_TOOLS),
        ("continue_final_message", bool(asked.get("continue_final_message")), isinstance(part, Steps), _NO_GOING_ON),
        ("echo", bool(asked.get("echo")), several, _NO_ECHO),
        (
            "prompt_logprobs",
            asked.get("prompt_logprobs") is not None,
            several or (not isinstance(part, Steps) and part.combine is not None),
            _NO_SCORES,
        ),
    ):
        if is_asked and holds:
            yield param, why
