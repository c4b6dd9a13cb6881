"""Names for the beginnings of a prompt, so that who has computed one of them can be found again.

A name chains everything that keys and values depend on (tenant, mixes) and the text up to a boundary: the end of a
message, or a whole number of chunks where a prompt is plain text or token ids. Names never leave the process that made
them. Knows nothing of replicas.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from deployments.shared.wire import GenerateCall

MIN_BYTES = 256
"""Shorter beginnings are computed sooner than they are looked for, and would draw strangers to one replica."""
CHUNK_BYTES = 1024
MAX_CHUNKS = 64
FIRST, LAST = 4, 16
"""Boundaries that are named in a long conversation: what many share lies early, what its next turn repeats late."""


def prefix_names(call: GenerateCall) -> tuple[int, ...]:
    """Names of the prompt's beginnings, longest first."""
    chain = hashlib.blake2b(digest_size=8)
    for part in (call.salt, repr(call.mixes).encode()):
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
    """What lies between the boundaries."""
    prompt = call.prompt
    if isinstance(prompt, str):
        yield from _chunks(prompt[: CHUNK_BYTES * MAX_CHUNKS].encode("utf-8", "surrogatepass"))
    elif prompt and isinstance(prompt[0], int):
        ids = [int(token) & 0xFFFFFFFF for token in prompt[: CHUNK_BYTES * MAX_CHUNKS // 4]]  # whatever was sent
        yield from _chunks(struct.pack(f"<{len(ids)}I", *ids))
    else:
        for message in prompt:
            yield repr(message).encode("utf-8", "surrogatepass")


def _chunks(data: bytes) -> Iterator[bytes]:
    """Whole ones only: what ends in mid-chunk cannot be the beginning of a longer prompt's chunk."""
    for start in range(0, min(len(data), CHUNK_BYTES * MAX_CHUNKS) - CHUNK_BYTES + 1, CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
