"""Which digest is which. All are SHA-256 in 64 hex digits, and none may stand where another is meant.

A weights digest says what is computed, so it keys every cache; a package digest says which files were meant, so it is
what is signed, revoked and reported; a bundle digest says how they came, so it tells a signed copy from one that is
not.
"""

from __future__ import annotations

from typing import NewType

WeightsDigest = NewType("WeightsDigest", str)
"""Over an adapter's sorted points, tensors, scalings and invocation tokens: equal weights, equal digest, whatever the
file (`injection/lora.py`)."""

PackageDigest = NewType("PackageDigest", str)
"""Over an adapter directory's files, without its signature (`adapters/package/snapshot.py`). HTTP's ``digest`` and the
header ``x-adaptrix-digest`` are this one."""

BundleDigest = NewType("BundleDigest", str)
"""Over a package digest and the signature beside it (`adapters/package/snapshot.py`)."""
