"""Splits a text into the tokens that keywords are looked for in."""

from __future__ import annotations

import re

NUMBER = "#"
"""The token that stands for any number written in digits."""

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d]+(?:'[^\W\d]+)?|[^\w\s]")


def tokens(text: str) -> list[str]:
    """Words in small letters, single signs, and `NUMBER` for each number: ``"Is 3x = 9?"`` -> is # x = # ?"""
    return [NUMBER if token[0].isdigit() else token for token in _TOKEN.findall(text.casefold())]
