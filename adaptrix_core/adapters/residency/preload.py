"""Loads adapters in the background: on request, and those that usage says are likely next.

Counts which adapter follows which. Knows names and counts; loading is a function of the caller.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from adaptrix_core.errors import AdaptrixError

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

LIKELY = 2
"""Adapters that are loaded ahead after each use."""


class Preloader(Generic[T]):
    """One background thread, started when first needed."""

    def __init__(self, load: Callable[[str], T], load_if_free: Callable[[str], None], enabled: bool = True) -> None:
        """load: for requests. load_if_free: for guesses; must evict nothing. enabled: whether to guess."""
        self._load = load
        self._load_if_free = load_if_free
        self._enabled = enabled
        self._lock = threading.Lock()
        self._uses: Counter[str] = Counter()
        self._followers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._last: str | None = None
        self._pending: set[str] = set()
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False

    def used(self, name: str) -> None:
        """Count a use, and load the likely next ones ahead."""
        with self._lock:
            if self._last is not None and self._last != name:
                self._followers[self._last][name] += 1
            self._uses[name] += 1
            self._last = name
            guesses = self._likely_next(name) if self._enabled and not self._closed else []
            for guess in guesses:
                if guess not in self._pending:
                    self._pending.add(guess)
                    self._start(self._guess, guess)

    def submit(self, name: str) -> Future[T]:
        """Load in the background. RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the loader is closed")
            return self._start(self._load, name)

    def close(self) -> None:
        """Cancel the loads that have not begun and wait for the others."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def _likely_next(self, name: str) -> list[str]:
        ranked = [*self._followers[name].most_common(LIKELY), *self._uses.most_common(LIKELY + 1)]
        return list(dict.fromkeys(guess for guess, _ in ranked if guess != name))[:LIKELY]

    def _start(self, function: Callable[[str], R], name: str) -> Future[R]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="adapter-preload")
        return self._executor.submit(function, name)

    def _guess(self, name: str) -> None:
        with self._lock:
            self._pending.discard(name)
        try:
            self._load_if_free(name)
        except (AdaptrixError, OSError) as error:
            log.info("adapter %r was not preloaded: %s", name, error)
