"""Splits a compound question into the parts that may each be for another adapter."""

from __future__ import annotations

import re

MOST_CLAUSES = 16
"""Parts that are told apart; what follows belongs to the last one."""

_BORDERS = re.compile(
    r"(?<=[.!?;])\s+|\n+|,?\s+(?:and\s+)?(?:then|after\s+that|afterwards|finally|secondly|second|next|also)[,\s]+",
    re.IGNORECASE,
)


def clauses(text: str) -> list[str]:
    """The parts in order, without outer white space: by ends of sentences and words such as "then" and "finally"."""
    parts = _BORDERS.split(text, maxsplit=MOST_CLAUSES - 1)
    return [part.strip() for part in parts if re.search(r"\w", part)]
