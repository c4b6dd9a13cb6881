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

from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signed_document import SignedDocument
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

    Raises as `SignedDocument.write`.
    """
    name = calibration_name(calibration.name, calibration.answerer, calibration.layout)
    return _CALIBRATION.write(calibration, place / name, private_key)


def read_calibration(directory: Path, keys: Sequence[TrustedKey] | None) -> SignedCalibration:
    """Read one. keys: those that may vouch for it; None: signatures are not looked at.

    Raises AdapterRejected: the codes of `verify_snapshot`, or bad_calibration where it cannot be read or used.
    """
    return SignedCalibration(*_CALIBRATION.read(directory, keys, ConfidenceCalibration))


def _bad(name: str, why: str) -> AdapterRejected:
    return AdapterRejected(f"calibration {name}: {why}; make it anew with `adaptrix calibrate`", code="bad_calibration")


_CALIBRATION = SignedDocument(CALIBRATION_FILE, MOST_BYTES, _bad)
