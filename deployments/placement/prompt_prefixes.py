"""Names (hashes) of a prompt's beginnings, by which the replica that has computed one of them is found again.

A name chains everything that keys and values depend on (tenant, mixes) and the text up to a boundary: the end of a
message, or a whole number of chunks where a prompt is plain text or token ids. Names never leave the process that made
them. Knows nothing of replicas.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from adaptrix_core.digests import BundleDigest
from adaptrix_core.injection.mix import Term
from deployments.shared.wire import GenerateCall

MIN_BYTES = 256
"""Shortest beginning that gets a name, in bytes. Recomputing a shorter one costs less than the detour, and unrelated
prompts share it, which would gather them on one replica."""
CHUNK_BYTES = 1024
MAX_CHUNKS = 64
FIRST, LAST = 4, 16
"""Boundaries that are named in a long conversation, the first and the last ones: beginnings that many conversations
share lie early, those that the next turn repeats lie late."""


def prefix_names(call: GenerateCall) -> tuple[int, ...]:
    """Names of the prompt's beginnings, longest first."""
    chain = hashlib.blake2b(digest_size=8)
    for part in (call.salt, repr([[_plain(term) for term in mix] for mix in call.mixes]).encode()):
        chain.update(struct.pack("<Q", len(part)))
        chain.update(part)
    names = []
    length = 0
    for part in _parts(call):
        length += len(part)
        chain.update(struct.pack("<Q", len(part)))
        chain.update(part)
        if length >= MIN_BYTES:
            names.append(int.from_bytes(chain.digest(), "little"))
    if len(names) > FIRST + LAST:
        names = names[:FIRST] + names[-LAST:]
    return tuple(reversed(names))


def _parts(call: GenerateCall) -> Iterator[bytes]:
    """The prompt's bytes between two boundaries, in order."""
    prompt = call.prompt
    if isinstance(prompt, str):
        yield from _chunks(prompt[: CHUNK_BYTES * MAX_CHUNKS].encode("utf-8", "surrogatepass"))
    elif prompt and isinstance(prompt[0], int):
        ids = [int(token) & 0xFFFFFFFF for token in prompt[: CHUNK_BYTES * MAX_CHUNKS // 4]]  # any int may be sent
        yield from _chunks(struct.pack(f"<{len(ids)}I", *ids))
    else:
        for message in prompt:
            yield repr(message).encode("utf-8", "surrogatepass")


def _chunks(data: bytes) -> Iterator[bytes]:
    """Whole chunks only: one that is cut off by the prompt's end has no equal in a longer prompt."""
    for start in range(0, min(len(data), CHUNK_BYTES * MAX_CHUNKS) - CHUNK_BYTES + 1, CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def _plain(term: Term[BundleDigest]) -> tuple[object, ...]:
    """A term in a form that is written alike in every process, which a set is not."""
    layers = tuple(sorted(term.layers)) if isinstance(term.layers, frozenset) else term.layers
    return term.adapter, term.weight, layers
