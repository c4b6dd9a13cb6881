"""Questions for which no function helps, and the base model's own answers to them.

The adapter shall not change how the base talks, so the texts that it learns are the base's own: `make_texts.py` wrote
``plain_answers.jsonl`` from ``plain_questions.txt``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from adaptrix_core.training.tasks.tool_use.drawing import Text

LONGEST = 220
"""Answers with fewer characters are used."""
HELD_OUT_EVERY = 8
"""One text in so many is held out."""


@cache
def trained_texts() -> tuple[Text, ...]:
    """The texts to train on."""
    return tuple(text for place, text in enumerate(_texts()) if place % HELD_OUT_EVERY)


@cache
def held_out_texts() -> tuple[Text, ...]:
    """The texts that are not trained on. The question of one may be trained on with another answer."""
    return _texts()[::HELD_OUT_EVERY]


def plain_questions() -> list[str]:
    """The questions, one a line of their file."""
    return _read("plain_questions.txt").splitlines()


@cache
def _texts() -> tuple[Text, ...]:
    rows: list[list[str]] = [json.loads(line) for line in _read("plain_answers.jsonl").splitlines()]
    return tuple((question, answer) for question, answer in rows if len(answer) < LONGEST)


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
