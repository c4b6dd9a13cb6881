"""The calibrations that are at hand: read and verified once, found by who answers, on which base and in which layout.

One that cannot be relied upon is left out, and the reason logged: answers then have no confidence, which harms nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.signed_shelf import SignedPlace, SignedShelf
from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.scoring import EvidenceNeeded, evidence_needed
from adaptrix_core.confidence.signed import CALIBRATION_FILE, CALIBRATIONS, SignedCalibration, read_calibration
from adaptrix_core.config import Settings
from adaptrix_core.places import config_directory, shipped_adapters, shipped_keys

_SHOWN = {"base_lineage", "base_digest", "layout", "estimator", "method", "measured", "curve", "policies", "provenance"}


def user_calibrations() -> Path:
    """The directory of the user's own calibrations."""
    return config_directory() / CALIBRATIONS


def calibration_places(trusted_keys: Path, own: Path | None = None) -> tuple[SignedPlace, ...]:
    """The shipped calibrations, then one's own, which count for more. The project's key vouches for shipped ones.

    own: the user's directory if None.
    """
    shipped = SignedPlace(shipped_adapters() / CALIBRATIONS, (trusted_keys, shipped_keys()))
    return (shipped, SignedPlace(own or user_calibrations(), (trusted_keys,)))


class CalibrationShelf(SignedShelf[SignedCalibration]):
    """The calibrations in some places; later places count for more."""

    kind = "calibration"
    file_name = CALIBRATION_FILE

    def __post_init__(self) -> None:
        super().__post_init__()
        self._found: Mapping[tuple[str, str, str], SignedCalibration] = {}

    @classmethod
    def of(cls, settings: Settings) -> CalibrationShelf:
        """As the settings say."""
        wanted = settings.adapters
        places = calibration_places(wanted.trusted_keys_dir, settings.confidence.calibrations_dir)
        return cls(places, wanted.trust, wanted.poll_s)

    @classmethod
    def trusted_by(cls, policy: TrustPolicy) -> CalibrationShelf:
        """The shipped calibrations and the user's, as a policy trusts their signers."""
        return cls(calibration_places(policy.trusted_keys_dir), policy.policy)

    def find(self, base_digest: str, layout: str, answerer: str) -> ConfidenceCalibration | None:
        """The calibration for exactly these; None where there is none, and answers have no confidence."""
        found = self._found.get((base_digest, layout, answerer))
        return None if found is None else found.calibration

    def evidence_needed(self) -> EvidenceNeeded:
        """What the estimators of these calibrations look at beside tokens and their probabilities."""
        return evidence_needed({found.calibration.estimator for found in self._found.values()})

    def described(self, answerer: str) -> list[dict[str, Any]]:
        """What was measured of one who answers, for every base and layout, as JSON values."""
        return [
            {**found.calibration.model_dump(mode="json", include=_SHOWN), "signer": found.signer}
            for key, found in self._found.items()
            if key[2] == answerer
        ]

    def _read(self, directory: Path, keys: Sequence[TrustedKey] | None) -> SignedCalibration:
        return read_calibration(directory, keys)

    def _take(self, documents: Sequence[SignedCalibration]) -> None:
        self._found = {
            (read.calibration.base_digest, read.calibration.layout, read.calibration.answerer): read
            for read in documents
        }
