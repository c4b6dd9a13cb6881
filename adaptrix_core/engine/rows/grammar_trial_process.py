"""The process that builds grammars for `grammar_trial.py`: one JSON text per line in, one answer per line out.

Run as a script, so that llguidance is all that is imported. It ends itself when a grammar takes too
long, and when its parent closes its input.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time

import llguidance

LOOK_S = 0.01
PATIENCE = 10
"""Wall-clock time that a grammar may take, as a multiple of its processor time: a busy machine is not its fault."""
MEMORY_BYTES = 4 << 30
"""Address space of this process, in bytes."""


def main(budget_s: float, max_lexer_states: int) -> None:
    """Answer until the input ends."""
    os.nice(10)  # running answers come first
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        answer: list[str] = []
        thread = threading.Thread(target=_try, args=(json.loads(line), max_lexer_states, answer), daemon=True)
        thread.start()
        is_done = _wait(thread, budget_s)
        told = {"error": answer[0]} if is_done and answer else {"too_costly": True}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if not is_done:
            os._exit(0)  # a thread cannot be ended


def _try(grammar: str, max_lexer_states: int, answer: list[str]) -> None:
    limits = llguidance.LLParserLimits(max_lexer_states=max_lexer_states)
    answer.append(llguidance.LLMatcher.validate_grammar(grammar, limits=limits))


def _wait(thread: threading.Thread, budget_s: float) -> bool:
    """Whether the thread ends within its budget of processor time."""
    began, began_cpu = time.monotonic(), time.process_time()
    while thread.is_alive():
        thread.join(LOOK_S)
        if time.process_time() - began_cpu > budget_s or time.monotonic() - began > PATIENCE * budget_s:
            return not thread.is_alive()
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
