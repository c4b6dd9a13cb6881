"""The places where a question may divide: between sentences, and at "then" inside of one.

Finds candidates by their words alone; whether what stands on both sides can stand alone is the planner's to judge.
English only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from adaptrix_core.composition.planning.asking import asks, plainly


class Joint(Enum):
    """How a part of a question is joined to what stands before it."""

    SENTENCE = "a new sentence"
    CONNECTED = "a new sentence that begins with 'then' or the like"
    INSIDE = "'then', or 'and' before an operation, inside a sentence"


@dataclass(frozen=True)
class Fragment:
    """A piece of a question, and how it is joined to the piece before it."""

    text: str
    joint: Joint
    joined_by: str = ""
    """The words between, which are put back where the question does not divide here."""


_EQUATION_BEFORE = "|".join(rf"(?<==\s{sign}{digits})" for sign in ("", "-") for digits in (r"\d", r"\d\d", r"\d\d\d"))
_BETWEEN = re.compile(
    r"(?<=[.?!])\s+|\s*\n\s*"
    # Where a mark was left out: before such words, and where an equation or a sum runs into a sentence.
    r"|\s+(?=(?:Then|Now|Next|Afterwards|After that|Finally)\b[,:]? )"
    rf"|(?:(?<==)|{_EQUATION_BEFORE})\s+(?=[A-Z][a-z]*\b)|(?<=\d)\s+(?=(?:Write|Call|How|What)\b)"
)
_CONNECTIVE = re.compile(
    r"(?:and then|then|after that|after this|afterwards|next|secondly|second|third|thirdly|finally|lastly|now|"
    r"(?:once|when|as soon as) you (?:have|know|found)"
    r"(?: (?:the |an |your |that )?(?:answer|result|number|it|that|this))?|"
    r"(?:once|when) you(?: are|'re) (?:done|finished|ready)|after answering|question two|"
    r"(?:as a|in the|in a) (?:second|third|next|last|final) step)\b\s*(?:[,:]|please\b,?)?\s*",
    re.IGNORECASE,
)
_OPERATION = r"(?:add|subtract|take away|take|deduct|double|triple|increase|decrease|reduce|raise|multiply)"
_INSIDE = re.compile(
    r"\s*[,;]?\s+(?:and\s+)?(?:then|after that|afterwards|next|finally|lastly)\b[,:]?\s+"
    rf"|,?\s+and\s+(?={_OPERATION}\b|tell me what \d|(?:to|from) (?:the (?:result|answer)|that))"
    rf"|;\s+(?={_OPERATION}\b)|,\s+(?=take (?:the|that) (?:result|answer|number) and\b)",
    re.IGNORECASE,
)
_FIRST = re.compile(
    r"(?:first of all|firstly|first|to begin with|to start with|(?:in the|as a|in a) first step|question one)\b"
    r"\s*(?:[,:]\s*)?(?:answer this|answer|do this)?[,:]?\s*",
    re.IGNORECASE,
)


def parts(text: str) -> list[Fragment]:
    """The pieces of a question, in order; joined again by their words they are the question."""
    found: list[Fragment] = []
    position, joined_by = 0, ""
    for border in [*_BETWEEN.finditer(text), None]:
        sentence = text[position : border.start()] if border else text[position:]
        if sentence.strip():
            connective = _CONNECTIVE.match(plainly_joined(sentence)) if found else None
            joint = Joint.CONNECTED if connective else Joint.SENTENCE
            found += _inside(sentence, joint, joined_by)
            joined_by = ""
        if border:
            joined_by += border[0]
            position = border.end()
    return found


def plainly_joined(sentence: str) -> str:
    """A sentence without the "please" or "and" before its connective."""
    return re.sub(
        r"^(?:please|and|so|okay|ok)[,]?\s+(?=then|next|after|now|finally)", "", sentence, flags=re.IGNORECASE
    )


def without_connective(text: str) -> str:
    """What follows "then", "after that" and the like at the beginning of a step."""
    plain = plainly_joined(text)
    found = _CONNECTIVE.match(plain)
    return plain[found.end() :] if found else text


def _inside(sentence: str, joint: Joint, joined_by: str) -> list[Fragment]:
    pieces: list[Fragment] = []
    position = 0
    for border in _INSIDE.finditer(sentence):
        if not plainly(sentence[position : border.start()]).strip():  # "And then": nothing stands before it
            continue
        pieces.append(Fragment(sentence[position : border.start()], joint, joined_by))
        position, joint, joined_by = border.end(), Joint.INSIDE, border[0]
    pieces.append(Fragment(sentence[position:], joint, joined_by))
    return pieces


def without_first(text: str) -> str | None:
    """What follows "first" at the beginning of a question; None where it does not begin so, or asks nothing."""
    plain = plainly(text)
    found = _FIRST.match(plain)
    return plain[found.end() :] if found and asks(plain[found.end() :]) else None
