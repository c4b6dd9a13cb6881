"""Suggestions for unknown names: the nearest known ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(wrong: str, known: Iterable[str], what: str = "known") -> str:
    """``did you mean 'math_reasoning'?`` with the nearest names, or all of them (``known: …``) where none is near."""
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"{what}: {', '.join(names) or 'none'}"


def unknown_key(where: str, key: object, known: Iterable[str]) -> str:
    """The message for an unknown key of a mapping; where: its whole path."""
    names = list(known)
    near = difflib.get_close_matches(str(key), names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(names)}"
    return f"{where}: unknown key; {hint}"
