"""Blocks of one layer span: counted references, found again by key, the least recently used given out first (LRU).

A block that no row holds keeps its contents and its key until it is given out again. Knows numbers and keys; the
contents of a block are `kv_cache.py`'s business, the meaning of a key is `prefix.py`'s.
"""

from __future__ import annotations

from collections import OrderedDict


class BlockPool:
    """``num_blocks`` blocks, numbered from 0."""

    def __init__(self, num_blocks: int) -> None:
        self._references = [0] * num_blocks
        # In the order in which they are given out: nameless ones first, then by the time of their last release.
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))
        self._by_key: dict[bytes, int] = {}
        self._keys: dict[int, bytes] = {}
        self._labels: dict[int, frozenset[str]] = {}

    @property
    def num_idle(self) -> int:
        """Blocks that no row holds."""
        return len(self._idle)

    def allocate(self, count: int) -> list[int]:
        """Give out ``count`` idle blocks, each held once; their contents are forgotten. There must be that many."""
        taken = [self._idle.popitem(last=False)[0] for _ in range(count)]
        for block in taken:
            self._references[block] = 1
            self._unname(block)
        return taken

    def hold(self, block: int) -> None:
        """Add a holder."""
        self._references[block] += 1
        self._idle.pop(block, None)

    def let_go(self, block: int) -> None:
        """Remove a holder; the last one leaves the block idle."""
        self._references[block] -= 1
        if self._references[block] == 0:
            self._idle[block] = None
            self._idle.move_to_end(block, last=block in self._keys)

    def release(self, table: list[int]) -> None:
        """Let go of the blocks of a table and empty it; the last one is given out again before the first."""
        for block in reversed(table):
            self.let_go(block)
        table.clear()

    def name(self, block: int, key: bytes, labels: frozenset[str] = frozenset()) -> None:
        """Make a held block findable; where another block has the key already, that one stays the one found.

        labels: what its contents depend on, for `forget_label`.
        """
        if key not in self._by_key and block not in self._keys:
            self._by_key[key] = block
            self._keys[block] = key
            self._labels[block] = labels

    def forget_label(self, label: str) -> int:
        """Make every block with this label unfindable, held or idle; idle ones are given out next. Their number."""
        forgotten = [block for block, labels in self._labels.items() if label in labels]
        for block in forgotten:
            self._unname(block)
            if block in self._idle:
                self._idle.move_to_end(block, last=False)
        return len(forgotten)

    def find(self, key: bytes) -> int | None:
        """The block with this key, held or idle."""
        return self._by_key.get(key)

    def _unname(self, block: int) -> None:
        self._by_key.pop(self._keys.pop(block, b""), None)
        self._labels.pop(block, None)

    def faults(self, held: list[int]) -> list[str]:
        """Faults in the counts, where ``held`` lists every block once per holder; an empty list is good."""
        counts = [0] * len(self._references)
        for block in held:
            counts[block] += 1
        wrong = [
            b for b, count in enumerate(counts) if count != self._references[b] or (count == 0) != (b in self._idle)
        ]
        faults = (
            [f"{len(wrong)} blocks are not held as often as they are counted, first block {wrong[0]}"] if wrong else []
        )
        if {block: key for key, block in self._by_key.items()} != self._keys:
            faults.append("keys and blocks do not match")
        return faults
