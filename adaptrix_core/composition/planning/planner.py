"""Divides a question that asks for several things in a row into a plan, by rules of grammar.

"How many legs do 3 dogs have? Then add 5 to the result." becomes "How many legs do 3 dogs have?" and "What is {0} +
5?". Each step must be able to stand alone and be no longer than the question, so a plan is never larger than what was
asked, and dividing never repeats. Where the rules are not sure, the question is left alone: English only, no code
blocks, no steps that are about a text rather than a value. Does not know adapters: who answers a step is somebody
else's choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from adaptrix_core.composition.planning.arithmetic import done_with_it
from adaptrix_core.composition.planning.asking import asks, asks_for_code, plainly, sentences
from adaptrix_core.composition.planning.joints import (
    Fragment,
    Joint,
    parts,
    without_connective,
    without_first,
)
from adaptrix_core.composition.planning.numbering import numbered
from adaptrix_core.composition.planning.plan import Plan, has_place
from adaptrix_core.composition.planning.references import (
    letter_replaced,
    named_letter,
    only_shows_it,
    refers_back,
    solved_letter,
    with_places,
)
from adaptrix_core.composition.planning.rewriting import rewritten
from adaptrix_core.request_limits import MOST

_PRONOUN = re.compile(
    r"\b(?:it|its|them|they|their|this|these|those|he|she|him|his|her|hers|the (?:former|latter|same))\b", re.IGNORECASE
)
_SUBORDINATE = re.compile(r"\b(?:if|when|while|that|which|who|where|after|before|until|to)\b", re.IGNORECASE)
_ANNOUNCED = re.compile(
    r"(?:please )?answer(?: this| the following)?(?: question)?:\s*|and\s+(?=how\b|what\b|who\b|which\b)", re.IGNORECASE
)
_ONLY_THE_ANSWER = re.compile(r"(?:what is|what's|tell me|give me|state|say|find) \{\d+\}[ .?!]*", re.IGNORECASE)

MOST_LOOKED_AT = 8192
"""Most pieces times characters of a question that is divided: each piece is read together with all that follow it, so
without a limit a question of a thousand sentences would take seconds. This much takes one or two hundredths of one."""


def plan_of(question: str) -> Plan | None:
    """The steps of a question that asks for several things in a row; None for one that is to be asked as it is.

    A question has at most ``MOST.composition_steps`` steps and ``MOST.planned_characters`` characters, fewer where it
    has many pieces (`MOST_LOOKED_AT`); others are None.
    """
    question = question.strip()
    if not question or len(question) > MOST.planned_characters or "```" in question or has_place(question):
        return None
    texts = numbered(question)
    steps = _steps(rewritten(question)) if texts is None else _numbered_steps(texts)
    if steps is None or not 2 <= len(steps) <= MOST.composition_steps:
        return None
    if any(not 0 < len(step) <= len(question) for step in steps):
        return None
    return Plan(tuple(steps))


def _numbered_steps(texts: Sequence[str]) -> list[str] | None:
    if not asks(texts[0]):
        return None
    steps = [_finished(texts[0])]
    for text in texts[1:]:
        step = _later_step(text, len(steps), may_leave_it_out=True, before=texts[len(steps) - 1])
        if step is None and not (asks(text) and _stands_alone(text)):
            return None
        steps.append(step or _finished(text))
    return steps


def _steps(question: str) -> list[str] | None:
    """The steps that the joints of a question leave, from the first joint on at which it divides."""
    ordered = without_first(question)
    pieces = parts(ordered or question)
    if len(pieces) * len(question) > MOST_LOOKED_AT:
        return None
    borders = _borders(pieces, in_order=ordered is not None)
    if not borders:
        return None
    texts = [_joined(pieces[start:end]) for start, end in zip([0, *borders], [*borders, len(pieces)], strict=True)]
    steps = [_finished(texts[0])]
    for number, (border, text) in enumerate(zip(borders, texts[1:], strict=True), start=1):
        brief = ordered is not None or pieces[border].joint is not Joint.INSIDE
        step = _later_step(text, number, brief, before=texts[number - 1])
        steps.append(step or _finished(without_connective(text)))
    return steps


def _borders(pieces: Sequence[Fragment], in_order: bool) -> list[int]:
    """Indices of the pieces with which a later step begins. in_order: the question says what comes first."""
    borders: list[int] = []
    start = 0
    for index in range(1, len(pieces)):
        before = _joined(pieces[start:index])
        if not (asks(before) or borders):
            continue
        if _divides(before, pieces, index, len(borders) + 1, in_order):
            borders.append(index)
            start = index
    return borders


def _divides(before: str, pieces: Sequence[Fragment], index: int, number: int, in_order: bool) -> bool:
    """Whether a step ends before piece ``index`` and another begins with it."""
    joint = pieces[index].joint
    after = _joined(pieces[index:])
    if asks_for_code(before):
        return in_order and joint is Joint.CONNECTED and asks(after) and _stands_alone(without_connective(after))
    if joint is Joint.INSIDE and _SUBORDINATE.search(plainly(before)) and not (in_order or refers_back(after)):
        return False
    brief = in_order or joint is not Joint.INSIDE
    ends = dict.fromkeys((after, _joined(_until_next(pieces, index))))
    if any(_later_step(text, number, brief, before) for text in ends):
        return True
    return in_order and joint is not Joint.SENTENCE and asks(after) and _stands_alone(without_connective(after))


def _until_next(pieces: Sequence[Fragment], index: int) -> Sequence[Fragment]:
    """The pieces from ``index`` to the next one that begins with a connective."""
    for end in range(index + 1, len(pieces)):
        if pieces[end].joint is not Joint.SENTENCE:
            return pieces[index:end]
    return pieces[index:]


def _later_step(text: str, number: int, may_leave_it_out: bool, before: str) -> str | None:
    """Step ``number`` as a question that stands alone; None where the text does not speak of an earlier answer.

    may_leave_it_out: whether "add 5" alone speaks of it. before: the step before, which may name its unknown.
    """
    text = without_connective(text.strip())
    sum_of_it = done_with_it(text, number, may_leave_it_out)
    if sum_of_it is not None:
        return sum_of_it
    if lettered := named_letter(text):
        letter, rest = lettered
        replaced = letter_replaced(rest, letter, number - 1)
        return _finished(replaced) if replaced != rest and asks(replaced) else None
    unknown = solved_letter(before)
    if unknown and "=" not in text and asks(text) and (known := letter_replaced(text, unknown, number - 1)) != text:
        return _finished(known)
    if not asks(text) or only_shows_it(text) or not refers_back(text):
        return None
    step = with_places(text, number)
    return None if _ONLY_THE_ANSWER.fullmatch(plainly(step)) else _finished(step)


def _stands_alone(text: str) -> bool:
    """Whether the first sentence of a text can be understood without another."""
    return not (_PRONOUN.search(sentences(text)[0]) or refers_back(text))


def _joined(pieces: Sequence[Fragment]) -> str:
    first, *rest = pieces
    return first.text + "".join(piece.joined_by + piece.text for piece in rest)


def _finished(text: str) -> str:
    """A text as a sentence of its own: begun with a capital, ended with a mark."""
    text = _ANNOUNCED.sub("", text.strip(" ,;:\n"), count=1)
    if not text:
        return text
    text = text[0].upper() + text[1:]
    if text[-1] in ".?!:=)\"'":
        return text
    asked = re.match(r"(?:what|who|how|which|where|why|is|are|do|does)\b", text, re.IGNORECASE)
    return f"{text}{'?' if asked else '.'}"
