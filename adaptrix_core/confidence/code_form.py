"""The code in an answer, and the estimator ``code_parses``: whether it is code.

Whether it runs is another estimator's (`further/code_running.py`): nothing that a model has written is run because a
request came in.
"""

from __future__ import annotations

import ast
import re
import warnings

from adaptrix_core.confidence.evidence import AnswerEvidence

MOST_CHARACTERS = 20_000
"""Longest code that is parsed; longer code counts as none, as parsing happens beside other requests."""
_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


class CodeParses:
    """1 where the answer's last fenced block, or else the answer, is Python that defines a function; 0.5 where it is
    other Python, 0 where it is none."""

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        tree = _parsed(_source(answer.text))
        if tree is None or not tree.body:
            return 0.0
        return 1.0 if any(isinstance(node, ast.FunctionDef) for node in tree.body) else 0.5


def last_function(text: str) -> tuple[str, str] | None:
    """The answer's code, and the name of the last function that it defines; None where it defines none."""
    source = _source(text)
    tree = _parsed(source)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] if tree is not None else []
    return (source, names[-1]) if names else None


def _source(text: str) -> str:
    """The last fenced block of a text, or else the text."""
    blocks = _FENCED.findall(text[: 4 * MOST_CHARACTERS])
    return str(blocks[-1]) if blocks else text


def _parsed(source: str) -> ast.Module | None:
    if len(source) > MOST_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


CODE_PARSES = CodeParses()
