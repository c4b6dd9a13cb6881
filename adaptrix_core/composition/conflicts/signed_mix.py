"""Signed files of measured mixes: a directory with `conflict.json` and the signature over it.

conflicts/3f9c…-int4/conflict.json, signature.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix
from adaptrix_core.errors import AdapterRejected

CONFLICT_FILE = "conflict.json"
CONFLICTS = "conflicts"
"""Name of the directory of measured mixes in the user's configuration."""
MOST_BYTES = 100_000
"""Largest file of a measurement."""


def write_measurement(measured: MeasuredMix, place: Path, private_key: Path) -> Path:
    """Write and sign a measurement in a directory of its own in ``place``, in the stead of an earlier one; where it is.

    Raises AdapterNotFound or AdapterRejected (bad_key) for the key, OSError.
    """
    from adaptrix_core.adapters.package import atomic

    mix = hashlib.sha256(json.dumps([measured.base_digest, sorted(measured.key)]).encode()).hexdigest()
    directory = place / f"{mix[:32]}-{measured.layout}"
    content = measured.model_dump_json(indent=1).encode() + b"\n"
    signature = sign_snapshot(Snapshot(directory.name, {CONFLICT_FILE: content}), private_key)
    place.mkdir(parents=True, exist_ok=True)
    atomic.write_directory(directory, {CONFLICT_FILE: content, SIGNATURE_FILE: signature})
    return directory


def read_measurement(directory: Path, keys: Sequence[TrustedKey] | None) -> MeasuredMix:
    """Read one. keys: those that may vouch for it; None: signatures are not looked at.

    Raises AdapterRejected: the codes of `verify_snapshot`, or bad_measurement where it cannot be read or used.
    """
    files = {}
    for name in (CONFLICT_FILE, SIGNATURE_FILE):
        try:
            with (directory / name).open("rb") as file:
                files[name] = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _bad(directory, error.strerror or str(error)) from error
    if CONFLICT_FILE not in files:
        raise _bad(directory, f"it holds no {CONFLICT_FILE}")
    if any(len(content) > MOST_BYTES for content in files.values()):
        raise _bad(directory, f"a file has more than {MOST_BYTES} bytes")
    if keys is not None:
        verify_snapshot(Snapshot(directory.name, files), keys)
    try:
        return MeasuredMix.model_validate_json(files[CONFLICT_FILE])
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(directory, f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error


def _bad(directory: Path, why: str) -> AdapterRejected:
    return AdapterRejected(
        f"measurement {directory.name}: {why}; make it anew with `adaptrix conflicts --sign`", code="bad_measurement"
    )
