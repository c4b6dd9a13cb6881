"""Grammars are built beside the engine's steps, a few at a time and one for each tenant: nobody waits for another's."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from adaptrix_core.engine.constraint import Constraint
from adaptrix_core.errors import Overloaded

THREADS = 2
MAX_WAITING = 16
"""Grammars of one tenant that may wait to be built."""


class GrammarQueue:
    """Belongs to one event loop."""

    def __init__(self, compile_grammar: Callable[[str], Constraint]) -> None:
        """compile_grammar: called in threads of this queue; raises where a grammar cannot be used."""
        self._compile = compile_grammar
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="adaptrix-grammar")
        self._turns: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[bytes] = Counter()

    async def compile(self, grammar: str, salt: bytes) -> Constraint:
        """Have a grammar compiled for the tenant of ``salt``. Raises what compiling raises, and Overloaded."""
        if self._waiting[salt] >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} schemas of yours are waiting to be prepared; send this one again in a moment",
                param="response_format",
                retry_after_s=1.0,
            )
        self._waiting[salt] += 1
        try:
            async with self._turns[salt]:
                return await asyncio.get_running_loop().run_in_executor(self._executor, self._compile, grammar)
        finally:
            self._waiting[salt] -= 1
            if not self._waiting[salt]:
                del self._waiting[salt]
                self._turns.pop(salt, None)
