"""The types of digests, one for each meaning. All are SHA-256 in 64 hex digits, and none may replace another.

A weights digest identifies a computation, so it keys every cache; a package digest identifies a set of files, so it is
signed, revoked and reported; a bundle digest identifies the files with their signature, so it distinguishes a signed
copy from an unsigned one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from hashlib import _Hash

WeightsDigest = NewType("WeightsDigest", str)
"""Digest over an adapter's sorted points, tensors, scalings and invocation tokens: equal for equal weights, whatever
their files (`injection/lora.py`)."""

PackageDigest = NewType("PackageDigest", str)
"""Digest over an adapter directory's files, without its signature (`adapters/package/snapshot.py`). HTTP's ``digest``
and the header ``x-adaptrix-digest`` are this one."""

BundleDigest = NewType("BundleDigest", str)
"""Digest over a package digest and the signature beside it (`adapters/package/snapshot.py`)."""

GateDigest = NewType("GateDigest", str)
"""Digest over a gate's directions, offsets and rule (`injection/gate.py`): part of every key of what was computed under
it."""


def add_field(total: _Hash, tag: bytes, payload: bytes) -> None:
    """Hash one field, typed and length-prefixed, so that no two lists of fields look alike."""
    total.update(len(tag).to_bytes(8, "big") + tag + len(payload).to_bytes(8, "big") + payload)
