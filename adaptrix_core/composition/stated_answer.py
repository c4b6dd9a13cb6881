"""The answer inside of a reply: what its last "Answer:" line states, which is how the shipped adapters end theirs."""

from __future__ import annotations

import re

_ANSWER_LINE = re.compile(r"answer\s*(?:is)?\s*:?\s*(?P<answer>[^\n]+)", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"[A-Za-z]\w* = (?P<value>-?\d+(?:\.\d+)?)")
_CODE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def stated_answer(reply: str) -> str | None:
    """The text after the last "Answer:" of a reply, without markdown and a closing full stop."""
    found = list(_ANSWER_LINE.finditer(reply))
    return found[-1]["answer"].strip().rstrip(".").strip("*`$").rstrip(".").strip() if found else None


def answer_of(reply: str) -> str:
    """The answer that a reply states; of "x = 7" the value.

    Where it states none, the last block of code; without one its last line; empty for an empty reply.
    """
    stated = stated_answer(reply)
    if stated is not None:
        value = _NAMED_VALUE.fullmatch(stated)
        return value["value"] if value else stated
    if blocks := _CODE.findall(reply):
        return str(blocks[-1]).strip()
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    return lines[-1] if lines else ""
