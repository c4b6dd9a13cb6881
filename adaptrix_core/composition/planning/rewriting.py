"""Questions whose order of words hides the order of their steps: "Once you have found A, do B"."""

from __future__ import annotations

import re

from adaptrix_core.composition.planning.asking import plainly

_VERBS = {
    "worked out": "work out", "found out": "find out", "found": "find", "computed": "compute", "solved": "solve",
    "calculated": "calculate", "counted": "count", "determined": "determine", "figured out": "figure out",
    "evaluated": "evaluate",
}  # fmt: skip
_GERUNDS = {
    "working out": "work out", "computing": "compute", "calculating": "calculate", "finding": "find",
    "finding out": "find out", "solving": "solve", "counting": "count", "determining": "determine",
    "figuring out": "figure out", "adding up": "add up", "evaluating": "evaluate",
}  # fmt: skip
_BEGINNING = re.compile(r"(?:start|begin) (?:by|with) (?P<verb>[a-z]+ing(?: out| up)?)\b", re.IGNORECASE)
_ONCE = re.compile(
    rf"(?:(?:once|when|as soon as) you(?:'ve| have)? (?P<done>{'|'.join(_VERBS)})"
    rf"|after (?P<doing>{'|'.join(_GERUNDS)}))"
    r" (?P<what>[^,]+), (?:then )?(?P<rest>.+)",
    re.IGNORECASE | re.DOTALL,
)
_FROM_BEHIND = re.compile(
    r"(?:find|work out|get|answer|take) the answer (?:to|of) (?:this|the following)(?: question)?,? and (?:then )?"
    r"(?P<rest>[^:]+): (?P<first>.+)",
    re.IGNORECASE | re.DOTALL,
)


def rewritten(text: str) -> str:
    """A question whose order of words hides its steps, in the order of its steps: "Once you have found A, do B" is
    "First find A. Then do B"; others as they are."""
    text = text.strip()
    if found := _ONCE.fullmatch(plainly(text)):
        verb = _VERBS[found["done"].lower()] if found["done"] else _GERUNDS[found["doing"].lower()]
        return f"First {verb} {found['what']}. Then {found['rest']}"
    if found := _FROM_BEHIND.fullmatch(plainly(text)):
        return f"First, {found['first']} Then {found['rest']}."
    begun = _BEGINNING.match(plainly(text))
    instead = _GERUNDS.get(begun["verb"].lower()) if begun else None
    return f"First {instead}{plainly(text)[begun.end() :]}" if begun and instead else text
