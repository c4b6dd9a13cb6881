"""Tokens served to each party: virtual token counters, in a tree.

The scheme is that of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024, algorithm 2): the client
that was served the fewest tokens is next, and one that begins to wait is lifted to the least served of those that wait
already, so that no claim is saved up while away. Here it is nested: the parts of a party divide its tokens by the same
rule. Knows no rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

Path = Sequence[Hashable]
"""Names of a party, its part, that part's part, …"""


class FairShare:
    """One party: its counter of tokens, and its parts."""

    def __init__(self, served: int = 0) -> None:
        self._served = served
        self._num_waiting = 0
        self._parts: dict[Hashable, FairShare] = {}
        self._left_last: FairShare | None = None

    def begin_wait(self, path: Path) -> None:
        """Count one more that waits at ``path``; one `end_wait` takes it back."""
        self._num_waiting += 1
        if path:
            part = self._part(path[0])
            if part._num_waiting == 0:
                part._served = max(part._served, self._level())
            part.begin_wait(path[1:])

    def end_wait(self, path: Path) -> None:
        """Take back one `begin_wait`, whether it was served or not."""
        self._num_waiting -= 1
        if path:
            self._left_last = self._parts[path[0]]
            self._left_last.end_wait(path[1:])

    def charge(self, path: Path, tokens: int) -> None:
        """Count ``tokens`` that were computed for ``path``."""
        self._served += tokens
        if path:
            self._part(path[0]).charge(path[1:], tokens)

    def served(self, path: Path) -> tuple[int, ...]:
        """Tokens served to each party along ``path``; the smallest such tuple among siblings is next."""
        if not path:
            return ()
        part = self._part(path[0])
        return (part._served, *part.served(path[1:]))

    def _part(self, name: Hashable) -> FairShare:
        if name not in self._parts:
            level = self._level()
            # A part that is away and not ahead of the level would be lifted to it on its return: it need not be kept.
            self._parts = {n: part for n, part in self._parts.items() if part._num_waiting or part._served > level}
            self._parts[name] = FairShare(level)
        return self._parts[name]

    def _level(self) -> int:
        """The counter that newcomers begin at: the least served waiting part's, else that of the last that waited."""
        waiting = [part._served for part in self._parts.values() if part._num_waiting]
        return min(waiting, default=self._left_last._served if self._left_last is not None else 0)
