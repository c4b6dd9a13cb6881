"""Ends a replica's process once its engine is beyond help. The one place where a process of ours ends itself.

A thread that hangs cannot be stopped, and waiting for it would keep the clients of its requests waiting, and its GPU
from the replica that takes its place. When the process is gone, its callers learn it at once, and Ray Serve starts
another one. Before, its callers are told whether their request was in the step that hangs
(`generation/continue_elsewhere.py`). A process that hangs as a whole is ended by Ray Serve, whose health checks it
does not answer.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from adaptrix_core.errors import EngineStopped

logger = logging.getLogger(__name__)

LOOK_S = 0.5
LOOKS = 3
"""So many in a row must agree: a process that slept is not one that hangs, and last words need a moment."""
EXIT_CODE = 70
"""``EX_SOFTWARE`` of sysexits.h."""
LAST_WORDS_S = 2.0
"""So long at most until the callers have been told."""


class Watchdog:
    """Looks again and again whether the engine is well, in a thread of its own."""

    def __init__(
        self, check_health: Callable[[], None], give_up: Callable[[str], threading.Event], look_s: float = LOOK_S
    ) -> None:
        """check_health: raises EngineStopped where the engine is not well.

        give_up: tells every caller why its request ends; the event is set when all have been told.
        """
        self._check_health = check_health
        self._give_up = give_up
        self._look_s = look_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adaptrix-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; call it before the engine is stopped on purpose."""
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
