"""Signed files of calibrations: a directory with `calibration.json` and the signature over it.

A calibration lies beside the packages, not in them: it is measured later, often by others, and for another layout of
the base model, and a package that is signed stays as it is. The key is any trusted one.

    calibrations/math_reasoning-1.0.0-int4/calibration.json, signature.json
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.confidence.calibration import MIX_ANSWERS, ConfidenceCalibration
from adaptrix_core.errors import AdapterRejected

CALIBRATION_FILE = "calibration.json"
CALIBRATIONS = "calibrations"
"""Name of the directory of calibrations beside the shipped adapters, and in the user's configuration."""
MOST_BYTES = 1_000_000
"""Largest file of a calibration."""


@dataclass(frozen=True)
class SignedCalibration:
    """A calibration that was read, and the key that vouches for it."""

    calibration: ConfidenceCalibration
    signer: str | None
    """Name of the trusted key; None where signatures are not looked at."""


def calibration_name(name: str, answerer: str, layout: str) -> str:
    """A name for files of one calibration: who answers, and the layout.

    name: of who answers, for people. Mixes whose names come to the same are told apart by their digest.
    """
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")[:80]
    mix = f"-{answerer.removeprefix(MIX_ANSWERS)[:8]}" if answerer.startswith(MIX_ANSWERS) else ""
    return f"{safe}{mix}-{layout}"


def write_calibration(calibration: ConfidenceCalibration, place: Path, private_key: Path) -> Path:
    """Write and sign a calibration in a directory of its own in ``place``, in the stead of an earlier one; where it is.

    Raises AdapterNotFound or AdapterRejected (bad_key) for the key, OSError.
    """
    from adaptrix_core.adapters.package import atomic

    directory = place / calibration_name(calibration.name, calibration.answerer, calibration.layout)
    content = calibration.model_dump_json(indent=1).encode() + b"\n"
    signature = sign_snapshot(Snapshot(directory.name, {CALIBRATION_FILE: content}), private_key)
    place.mkdir(parents=True, exist_ok=True)
    atomic.write_directory(directory, {CALIBRATION_FILE: content, SIGNATURE_FILE: signature})
    return directory


def read_calibration(directory: Path, keys: Sequence[TrustedKey] | None) -> SignedCalibration:
    """Read one. keys: those that may vouch for it; None: signatures are not looked at.

    Raises AdapterRejected: the codes of `verify_snapshot`, or bad_calibration where it cannot be read or used.
    """
    files = {}
    for name in (CALIBRATION_FILE, SIGNATURE_FILE):
        path = directory / name
        try:
            if path.is_file():
                with path.open("rb") as file:
                    files[name] = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _bad(directory, error.strerror or str(error)) from error
    if CALIBRATION_FILE not in files:
        raise _bad(directory, f"it holds no {CALIBRATION_FILE}")
    if any(len(content) > MOST_BYTES for content in files.values()):
        raise _bad(directory, f"a file has more than {MOST_BYTES} bytes")
    signer = None if keys is None else verify_snapshot(Snapshot(directory.name, files), keys).name
    try:
        calibration = ConfidenceCalibration.model_validate_json(files[CALIBRATION_FILE])
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(directory, f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error
    return SignedCalibration(calibration, signer)


def _bad(directory: Path, why: str) -> AdapterRejected:
    return AdapterRejected(
        f"calibration {directory.name}: {why}; make it anew with `adaptrix calibrate`", code="bad_calibration"
    )
