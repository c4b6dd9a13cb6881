"""The estimator ``code_parses``: whether an answer's code is code.

Running it says more, and belongs to who trusts the sandbox with it (`security/sandbox/run.py`): nothing that a
model has written is run because a request came in.
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
        blocks = _FENCED.findall(answer.text[: 4 * MOST_CHARACTERS])
        source = blocks[-1] if blocks else answer.text
        tree = _parsed(source)
        if tree is None or not tree.body:
            return 0.0
        return 1.0 if any(isinstance(node, ast.FunctionDef) for node in tree.body) else 0.5


def _parsed(source: str) -> ast.Module | None:
    if len(source) > MOST_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


CODE_PARSES = CodeParses()
