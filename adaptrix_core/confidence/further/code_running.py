"""The estimator ``code_runs``: whether an answer's code defines a function that returns something.

Knows no sandbox: whoever wants code to be run hands in what runs it, and answers for it.
"""

from __future__ import annotations

from collections.abc import Callable

from adaptrix_core.confidence.code_form import last_function
from adaptrix_core.confidence.evidence import AnswerEvidence

CallsCode = Callable[[str, str, tuple[object, ...]], bool]
"""(source, name of a function in it, arguments) -> whether the call returned, in a sandbox of the caller's choice."""

PROBES: tuple[tuple[object, ...], ...] = ((5,), ([3, -2, 4],), ("a b1",), (4, 7))
"""Arguments that a function is tried with: a number, numbers, a text, and two numbers."""


class CodeRuns:
    """1 where the answer's code runs, 0 where it does not."""

    needs_further = ("runs",)

    def score(self, answer: AnswerEvidence) -> float:
        """See `ConfidenceEstimator`."""
        return float(bool(answer.further.runs))


def code_runs(text: str, call: CallsCode) -> bool:
    """Whether the last function that an answer's code defines returns for some of the `PROBES`."""
    found = last_function(text)
    return found is not None and any(call(*found, arguments) for arguments in PROBES)


CODE_RUNS = CodeRuns()
