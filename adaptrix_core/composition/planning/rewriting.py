"""Questions whose order of words hides the order of their steps: "Once you have found A, do B", or one inside one."""

from __future__ import annotations

import re

from adaptrix_core.composition.planning.asking import plainly
from adaptrix_core.composition.planning.nested import unnested

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
_THIS = r"(?:this|the following)(?: question)?"
_ANSWERED_FIRST = re.compile(
    rf"answer {_THIS},? (?:and |then |and then )(?P<rest>[^:]+): (?P<first>.+)", re.IGNORECASE | re.DOTALL
)
_FOUND_FIRST = re.compile(
    rf"(?:find|work out|get|take) the answer (?:to|of) {_THIS},? and (?:then )?(?P<rest>[^:]+): (?P<first>.+)",
    re.IGNORECASE | re.DOTALL,
)
_DONE_WITH_IT = re.compile(
    rf"(?P<rest>[^:?]+ the (?:answer|result)) (?:to|of) {_THIS}: (?P<first>.+)", re.IGNORECASE | re.DOTALL
)
_LET = re.compile(
    r"(?:let|say|suppose) (?P<letter>[a-z]) (?:be|is|=) (?P<what>[^.?;]+)[.;] (?P<rest>.+)", re.IGNORECASE | re.DOTALL
)
_IF = re.compile(r"if (?P<letter>[a-z]) is (?P<what>[^,?]+), (?P<rest>.+)", re.IGNORECASE | re.DOTALL)
_TO_WORK_OUT = re.compile(
    r"(?:(?:the )?(?:answer|result|value|solution) (?:to|of) )?"
    r"(?P<what>(?:how many|what) .+|[^=]*\d\s*[-+*/]\s*\d[^=]*)",
    re.IGNORECASE | re.DOTALL,
)


def rewritten(text: str) -> str:
    """A question whose order of words hides its steps, in the order of its steps: "Once you have found A, do B" is
    "First find A. Then do B"; others as they are."""
    text = text.strip()
    if ordered := unnested(text):
        return ordered
    plain = plainly(text)
    if found := _ONCE.fullmatch(plain):
        verb = _VERBS[found["done"].lower()] if found["done"] else _GERUNDS[found["doing"].lower()]
        return f"First {verb} {found['what']}. Then {found['rest']}"
    if found := _ANSWERED_FIRST.fullmatch(plain) or _FOUND_FIRST.fullmatch(plain) or _DONE_WITH_IT.fullmatch(plain):
        return f"First, {found['first']} Then {found['rest']}."
    if found := _LET.fullmatch(plain) or _IF.fullmatch(plain):
        what = _TO_WORK_OUT.fullmatch(found["what"])
        return f"First work out {what['what']}. Then: Call it {found['letter']}. {found['rest']}" if what else text
    begun = _BEGINNING.match(plain)
    instead = _GERUNDS.get(begun["verb"].lower()) if begun else None
    return f"First {instead}{plain[begun.end() :]}" if begun and instead else text
