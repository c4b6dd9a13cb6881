"""Builds a caller's grammar in a process of its own first: some take minutes, and only a process can be ended.

Intersections of a few harmless patterns can need exponential time in the grammar library, which has no budget for
building (it has one for each token). A grammar that the trial builds in time is built again by its caller, in about the
same time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from adaptrix_core.errors import InvalidRequest, Overloaded
from adaptrix_core.request_limits import MOST

TOO_COSTLY = "grammar_too_costly"


class GrammarTrial:
    """Keeps one process, started at the first trial and again after each trial that ended it. Thread-safe."""

    def __init__(self, max_lexer_states: int, budget_s: float = MOST.grammar_s) -> None:
        """max_lexer_states: of llguidance's ``LLParserLimits``. budget_s: processor time for each grammar."""
        self._max_lexer_states = max_lexer_states
        self._budget_s = budget_s
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def check(self, grammar: str) -> None:
        """Return if the grammar can be built in time. Raises InvalidRequest (code grammar_too_costly) if not.

        Raises Overloaded where no process can be started. Other faults of the grammar are not looked at.
        """
        with self._lock:
            answer = self._ask(grammar)
        if answer.get("too_costly"):
            raise InvalidRequest(
                f"the grammar takes more than {self._budget_s:g} s to prepare; use fewer or simpler patterns, above "
                "all in allOf",
                code=TOO_COSTLY,
                param="grammar",
            )

    def _ask(self, grammar: str) -> dict[str, Any]:
        try:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(grammar) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError as error:
            self._end()
            raise Overloaded(
                f"no process can be started to check the grammar: {error}; try again", retry_after_s=5
            ) from error
        answer: dict[str, Any] = json.loads(line) if line else {"too_costly": True}  # it died: of its memory limit, say
        if "error" not in answer:
            self._end()
        return answer

    def _start(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("grammar_trial_process.py")
        # -P: modules beside the script must not shadow those of the libraries.
        command = [sys.executable, "-P", str(script), str(self._budget_s), str(self._max_lexer_states)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __del__(self) -> None:
        self._end()
