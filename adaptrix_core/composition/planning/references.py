"""Words that stand for the answer of an earlier step: "the result", "that many", "the answer of step 1".

Replaces them by places. Does not know where steps begin. English only.
"""

from __future__ import annotations

import re

from adaptrix_core.composition.planning.plan import place

_NOUN = r"(?:result|answer|number|total|sum|value|amount|count|figure|outcome|solution|quantity)"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_OF_A_STEP = re.compile(
    rf"\b(?:the|your|that) {_NOUN} (?:of|from|to|in) (?:(?:step|part|question|number) )?"
    r"(?:\((?P<bracketed>[1-8a-h])\)|(?P<bare>[1-8])\b(?![.,]?\d))",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"\b(?:the|your|that) (?P<ordinal>{'|'.join(_ORDINALS)}) {_NOUN}\b", re.IGNORECASE)
_MANY = re.compile(r"\b(?:exactly |just )?(?:that|this|so) many\b(?! of\b)", re.IGNORECASE)
_LAST = re.compile(
    rf"\b(?:(?:that|this|your|the (?:previous|last|final)) (?:final |last |previous )?{_NOUN}"
    r"|the (?:result|answer|outcome)(?! (?:would|will|should|is|must|can|may|was|as|in|format)\b)"
    r"|the (?:number|total|sum|value|amount|count)(?: (?:that )?(?:you|we) (?:got|get|found|find|have))"
    r"|(?:what|whatever)(?: number)? you (?:got|get|found|have found|find))\b(?!['’]s\b)",
    re.IGNORECASE,
)
_SHOWING = (
    "write|give|give back|gives back|provide|return|returns|express|round|state|present|format|print|prints|report|"
    "output|put|show|submit|include|simplify|convert|explain|check|verify|box|enclose|box in|say|tell me|display|"
    "justify|with|make sure|make sure that|ensure|ensure that|what is|what's|what was|is|yields|have"
)
_ONLY_SHOWN = re.compile(
    rf"\b(?:{_SHOWING}) (?:me |us |back |only |just )?"
    r"(?:the|your|that|this) (?:final |last |exact |right |correct )?(?:result|answer|outcome|number|value|solution)\b"
    r"(?!\s+(?:plus|minus|times|divided|increased|reduced|of|to|from|[-+*/]))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b(?:(?:call|name) (?:it|that|this|(?:the|your|that) {_NOUN})"
    rf"|(?:say|suppose|assume)(?: that)? (?:it|that|the {_NOUN}) is) (?P<letter>[a-z])\b",
    re.IGNORECASE,
)
_LET = re.compile(
    rf"\b(?:let|say|suppose|if) (?P<letter>[a-z]) (?:be|is|stands? for|=) "
    rf"(?:it|that|this|(?:the|your|that) {_NOUN})\b(?! of| to)",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"\b(?:solve for|find|what is|value of|work out|determine|for) (?P<letter>[b-hj-z])\b(?!\()", re.IGNORECASE
)
_AS_LETTER = re.compile(
    rf"\b(?:using|with|use|take) (?:(?:that|the) {_NOUN}|it|that|this) as (?P<letter>[a-z])\b"
    r"[,:;]?\s*(?:answer(?: this)?:?\s*)?",
    re.IGNORECASE,
)


def refers_back(text: str) -> bool:
    """Whether a text, the beginning of a later step, speaks of an earlier answer by a noun of its own."""
    return with_places(text, 1) != text


def with_places(text: str, number: int) -> str:
    """Step ``number`` (from 0) with places where it speaks of earlier answers."""

    def of_a_step(found: re.Match[str]) -> str:
        named = found["bracketed"] or found["bare"]
        index = "abcdefgh".find(named.lower()) if named.isalpha() else int(named) - 1
        return place(index) if index < number else found[0]

    def ordinal(found: re.Match[str]) -> str:
        index = _ORDINALS.index(found["ordinal"].lower())
        return place(index) if index < number else found[0]

    text = _OF_A_STEP.sub(of_a_step, text)
    text = _ORDINAL.sub(ordinal, text)
    last = place(number - 1)
    return _LAST.sub(last, _MANY.sub(last, text))


def only_shows_it(text: str) -> bool:
    """Whether a text speaks of an answer only to say how it is to be written down, as "round the answer" does."""
    return refers_back(text) and not refers_back(_ONLY_SHOWN.sub("", text))


def named_letter(text: str) -> tuple[str, str] | None:
    """The letter that a text gives the earlier answer, and the text without that: "Call it n. What is n + 1?"."""
    for pattern in (_AS_LETTER, _NAMED, _LET):
        if found := pattern.search(text):
            rest = (text[: found.start()] + text[found.end() :]).strip(" .,:;\n")
            return found["letter"], rest
    return None


def solved_letter(text: str) -> str | None:
    """The unknown that a text asks for, as "x" in "Find x: 3x + 4 = 19"; None where it asks for none."""
    found = _UNKNOWN.search(text) if "=" in text else None
    return found["letter"] if found else None


def letter_replaced(text: str, letter: str, number: int) -> str:
    """A text with the place of step ``number``'s answer for a letter that stands alone."""
    return re.sub(rf"(?<![\w'(]){re.escape(letter)}(?![\w'(])", place(number), text)
