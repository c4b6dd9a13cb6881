"""Scorers of replies, by name, for `adaptrix evaluate --data --scorer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.training.tasks.problem import stated_number

Scorer = Callable[[str, str], bool]
"""(reply, reference) -> whether the reply is right."""


def exact(reply: str, reference: str) -> bool:
    """The same text; only white space may differ."""
    return _spaced(reply) == _spaced(reference)


def contains(reply: str, reference: str) -> bool:
    """The reply has the reference somewhere in it; upper and lower case are one."""
    return _spaced(reference).lower() in _spaced(reply).lower()


def number(reply: str, reference: str) -> bool:
    """Both state the same number: the one after "Answer:", else the last one."""
    wanted = stated_number(reference)
    return wanted is not None and stated_number(reply) == wanted


def answer(reply: str, reference: str) -> bool:
    """The same text after the last "Answer:"; a reference without one is the answer itself."""
    said, wanted = stated_answer(reply), stated_answer(reference) or reference
    return said is not None and _spaced(said).lower() == _spaced(wanted).lower()


SCORERS: Mapping[str, Scorer] = {scorer.__name__: scorer for scorer in (exact, contains, number, answer)}


def _spaced(text: str) -> str:
    return " ".join(text.split())
