"""Which metrics and labels a PromQL expression names. Enough for dashboards; not a parser of all of PromQL."""

from __future__ import annotations

import re

_KEYWORDS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset"})
_STRING = r'"(?:[^"\\]|\\.)*"'
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Each metric with the labels of its braces."""
    text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", re.sub(r"\[[^]]*\]", " ", expression))
    pattern = rf"(?<![\w:$])({_NAME})\b\s*(\(|{{(?:{_STRING}|[^}}\"])*}})?"
    found = []
    for name, what in re.findall(pattern, re.sub(_STRING, '""', text)):
        if what != "(" and name not in _KEYWORDS:
            found.append((name, set(re.findall(rf"({_NAME})\s*(?:=~|!~|!=|=)", what))))
    return found


def grouped_by(expression: str) -> set[str]:
    """Labels in `by (...)`."""
    return {label.strip() for group in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in group.split(",")}
