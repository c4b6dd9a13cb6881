"""Ends a replica's process once its engine hangs for good. The one place where a process of ours ends itself.

A thread that hangs cannot be stopped; waiting for it would keep its clients waiting, and its GPU from the replica that
replaces it. When the process is gone, its callers notice at once, and Ray Serve starts another one. Before it ends, its
callers get an error that says whether their request was in the step that hangs (`generation/continue_elsewhere.py`). A
process that hangs as a whole is ended by Ray Serve, whose health checks it does not answer.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from adaptrix_core.errors import EngineStopped

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds between two looks."""
LOOKS = 3
"""Looks in a row that must find the engine stuck: one alone may follow a sleep of the whole machine."""
EXIT_CODE = 70
"""Exit status of the ended process: ``EX_SOFTWARE`` of sysexits.h."""
LAST_WORDS_S = 2.0
"""Longest wait, in seconds, until all callers have got their error."""


class Watchdog:
    """Polls the engine's health, in a thread of its own."""

    def __init__(
        self, check_health: Callable[[], None], give_up: Callable[[str], threading.Event], look_s: float = LOOK_S
    ) -> None:
        """check_health: raises EngineStopped where the engine is not well.

        give_up: ends every call with an error of this message; the event is set when all callers have theirs.
        """
        self._check_health = check_health
        self._give_up = give_up
        self._look_s = look_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adaptrix-watchdog", daemon=True)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; to be called before the engine is stopped on purpose."""
        self._stopping.set()

    def _run(self) -> None:
        bad_looks = 0
        while not self._stopping.wait(self._look_s):
            try:
                self._check_health()
                bad_looks = 0
            except EngineStopped as error:
                bad_looks += 1
                if bad_looks == LOOKS:
                    logger.critical("%s: this process ends", error.message)
                    self._give_up(error.message).wait(LAST_WORDS_S)
                    logging.shutdown()
                    os._exit(EXIT_CODE)
