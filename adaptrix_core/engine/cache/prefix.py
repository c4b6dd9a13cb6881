"""The prefix cache: finds the computed blocks that a row can take over instead of computing them.

A full block has a key per span. It chains the tokens up to the block's end, the mixes they were computed under as far
as those act below the end of the span, and everything else that the contents depend on: base model, number format,
tenant. So
blocks of the trunk match under every adapter that begins above the cut, and blocks of the branch match only what was
computed under the very same mixes. Every field is typed and length-prefixed. Engine thread only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.injection.gate import Gated
from adaptrix_core.injection.mix import Mix, mix_runs, weights_digests_of

_KNOWN_MIXES = 4096
"""Most encodings of mixes that are kept; others are encoded again."""


class PrefixCache:
    """Finds, takes over and names blocks of `KVCache`."""

    def __init__(
        self,
        cache: KVCache,
        identity: Iterable[bytes],
        layers_of: Callable[[WeightsDigest], Iterable[int]],
        enabled: bool,
    ) -> None:
        """identity: part of every key. layers_of: an adapter's layers. enabled: if False, no block matches."""
        self._cache = cache
        self._identity = tuple(identity)
        self._layers_of = layers_of
        self._enabled = enabled
        self._visible = lru_cache(_KNOWN_MIXES)(self._encode)
        self.hit_tokens = [0 for _ in cache.spans]
        """Tokens that rows took over instead of computing them, by span."""

    def attach(self, row: Row) -> None:
        """Let a row that holds nothing take over matching blocks; the last span keeps at least one token to compute.

        Of the block in which the row parts from its leader, it gets a copy. Where the row's mix is not settled, the
        last span is left out, and a token is left to compute below it.
        """
        above = len(row.tokens)
        if row.deferred is not None:
            above -= 1
        for span in range(len(self._cache.spans) - (row.deferred is not None)):
            most = self._most(row, span, above)
            if self._enabled:
                self._share(row, span, most)
            if row.leader is not None and row.leader.finish_reason is None:
                self._copy_tail(row, row.leader, span, min(most, row.num_prompt))
            above = row.computed[span]

    def attach_branch(self, row: Row) -> None:
        """Let a row whose mix was just settled take over matching blocks of the last span, in place of empty ones."""
        if not self._enabled:
            return
        span = len(self._cache.spans) - 1
        held = len(row.tables[span])
        self._cache.pools[span].release(row.tables[span])
        self._share(row, span, self._most(row, span, row.computed[span - 1]))
        row.tables[span].extend(self._cache.pools[span].allocate(held - len(row.tables[span])))
        self.hit_tokens[span] += row.computed[span]
        row.taken_over[span] += row.computed[span]

    def name_new(self, row: Row) -> None:
        """Make the blocks that a row has filled findable."""
        if not self._enabled:
            return
        for span, pool in enumerate(self._cache.pools):
            full = row.computed[span] // self._cache.block_size
            if full == row.num_named[span]:  # most steps fill no block
                continue
            keys = self._keys(row, span, full)
            labels = self.acting(row, span)
            for block in range(row.num_named[span], full):
                pool.name(row.tables[span][block], keys[block], labels)
            row.num_named[span] = full

    def forget_adapter(self, weights_digest: WeightsDigest) -> int:
        """Make blocks that were computed under an adapter unfindable; returns their number."""
        return sum(pool.forget_label(weights_digest) for pool in self._cache.pools)

    def count_hits(self, row: Row) -> None:
        """Count the tokens that an admitted row has taken over."""
        for span, taken in enumerate(row.computed):
            self.hit_tokens[span] += taken
            row.taken_over[span] += taken

    def _most(self, row: Row, span: int, above: int) -> int:
        """Tokens that a row could take over in ``span``, having taken ``above`` in the span before."""
        if span < len(self._cache.spans) - 1:
            return above
        return 0 if row.computes_whole_prompt else min(above, len(row.tokens) - 1)

    def _share(self, row: Row, span: int, most: int) -> None:
        """Hold the longest chain of matching full blocks within the first ``most`` tokens."""
        pool, size = self._cache.pools[span], self._cache.block_size
        for number in range(most // size):  # keys are made one by one: the first unknown one ends the search
            block = pool.find(self._keys(row, span, number + 1)[number])
            if block is None:
                break
            pool.hold(block)
            row.tables[span].append(block)
        row.num_named[span] = len(row.tables[span])
        row.computed[span] = len(row.tables[span]) * size

    def _copy_tail(self, row: Row, leader: Row, span: int, most: int) -> None:
        size, start, pool = self._cache.block_size, row.computed[span], self._cache.pools[span]
        count = min(most, leader.computed[span]) - start
        if not 0 < count <= size or not pool.num_idle:
            return
        if self._mixes(row, span, 0, start + count) != self._mixes(leader, span, 0, start + count):
            return
        row.tables[span].extend(pool.allocate(1))
        self._cache.copy(span, leader.tables[span][start // size], row.tables[span][-1], count)
        row.computed[span] += count

    def _keys(self, row: Row, span: int, count: int) -> Sequence[bytes]:
        """Keys of a row's first blocks, at least ``count`` of them, each computed once."""
        keys, size = row.keys[span], self._cache.block_size
        while len(keys) < count:
            start = len(keys) * size
            parent = keys[-1] if keys else self._root(span, row.request)
            tokens = row.tokens[start : start + size]
            keys.append(
                _digest(
                    (b"parent", parent),
                    (b"tokens", struct.pack(f">{size}I", *tokens)),
                    (b"mixes", self._mixes(row, span, start, start + size)),
                )
            )
        return keys

    def _root(self, span: int, request: GenerationRequest) -> bytes:
        layers = self._cache.spans[span]
        return _digest(
            *((b"identity", value) for value in self._identity),
            (b"layers", struct.pack(">II", layers.start, layers.stop)),
            (b"salt", request.salt),
            (b"cache salt", request.cache_salt),
        )

    def _mixes(self, row: Row, span: int, start: int, end: int) -> bytes:
        """Encoding of the mixes of the tokens ``start … end`` below the end of ``span``, as runs of equal mixes."""
        stop = self._cache.spans[span].stop
        runs = [(self._visible(mix, stop), length) for mix, length in mix_runs(row.schedule, start, end)]
        return _fields(
            (b"run", struct.pack(">I", sum(length for _, length in run)) + mix)
            for mix, run in groupby(runs, key=itemgetter(0))
        )

    def acting(self, row: Row, span: int) -> frozenset[WeightsDigest]:
        """The adapters of a row that act below the end of ``span``."""
        stop = self._cache.spans[span].stop
        return frozenset(
            d for d in weights_digests_of(row.schedule) if any(layer < stop for layer in self._layers_of(d))
        )

    def _encode(self, mix: Mix, stop: int) -> bytes:
        """The terms that act on some layer below ``stop``, in order, with their factors there and their gates."""
        fields = []
        for term in mix:
            factors = [
                (layer, term.weight_at(layer)) for layer in sorted(self._layers_of(term.adapter)) if layer < stop
            ]
            acting = [struct.pack(">Id", layer, factor) for layer, factor in factors if factor != 0.0]
            if acting:
                fields += [(b"digest", term.adapter.encode()), (b"factors", b"".join(acting))]
                if isinstance(term.gated, Gated):
                    fields.append((b"gate", struct.pack(">I", term.gated.place) + term.gated.gate.gate_digest.encode()))
        return _fields(fields)


def _digest(*fields: tuple[bytes, bytes]) -> bytes:
    return hashlib.sha256(_fields(((b"adaptrix-kv", b"1"), *fields))).digest()


def _fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(struct.pack(">BI", len(tag), len(value)) + tag + value for tag, value in fields)
