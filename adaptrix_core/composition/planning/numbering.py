"""Steps that a question numbers itself, by digits, by letters, or as "step 1" and "step 2"."""

from __future__ import annotations

import re

_MARK = re.compile(
    r"(?:(?<=^)|(?<=\n)|(?<=[.?!:;]\s)|(?<=\s\s))"
    r"\(?(?:(?P<word>step|part|question|task)\s+)?(?P<number>[1-9]|[a-h])[.):]\s+",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"(?:please )?(?:answer|do|solve|work out|complete|work through|follow)?\s*"
    r"(?:the following|these|this|both|two)?\s*"
    r"(?:two |three )?(?:steps?|tasks?|questions?|things?|problems?)?"
    r"(?: in order| one after another| step by step)?\s*[:.]?\s*",
    re.IGNORECASE,
)


def numbered(text: str) -> list[str] | None:
    """The texts of steps that are numbered from 1 or lettered from a, in order; None for any other text.

    What stands before the first one may only announce them ("Answer both questions:").
    """
    marks = list(_MARK.finditer(text))
    if len(marks) < 2 or len({(mark["word"] or "").lower() for mark in marks}) > 1:
        return None
    wanted = "123456789" if marks[0]["number"].isdigit() else "abcdefgh"
    if "".join(mark["number"].lower() for mark in marks) != wanted[: len(marks)]:
        return None
    if not _PREAMBLE.fullmatch(text[: marks[0].start()]):
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
