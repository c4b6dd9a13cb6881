"""Signed files of measured mixes: a directory with `conflict.json` and the signature over it.

conflicts/3f9c…-int4/conflict.json, signature.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signed_document import SignedDocument
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix
from adaptrix_core.errors import AdapterRejected

CONFLICT_FILE = "conflict.json"
CONFLICTS = "conflicts"
"""Name of the directory of measured mixes in the user's configuration."""
MOST_BYTES = 100_000
"""Largest file of a measurement."""


def write_measurement(measured: MeasuredMix, place: Path, private_key: Path) -> Path:
    """Write and sign a measurement in a directory of its own in ``place``, in the stead of an earlier one; where it is.

    Raises as `SignedDocument.write`.
    """
    mix = hashlib.sha256(json.dumps([measured.base_digest, sorted(measured.key)]).encode()).hexdigest()
    return _MEASUREMENT.write(measured, place / f"{mix[:32]}-{measured.layout}", private_key)


def read_measurement(directory: Path, keys: Sequence[TrustedKey] | None) -> MeasuredMix:
    """Read one. keys: those that may vouch for it; None: signatures are not looked at.

    Raises AdapterRejected: the codes of `verify_snapshot`, or bad_measurement where it cannot be read or used.
    """
    return _MEASUREMENT.read(directory, keys, MeasuredMix)[0]


def _bad(name: str, why: str) -> AdapterRejected:
    return AdapterRejected(
        f"measurement {name}: {why}; make it anew with `adaptrix conflicts --sign`", code="bad_measurement"
    )


_MEASUREMENT = SignedDocument(CONFLICT_FILE, MOST_BYTES, _bad)
