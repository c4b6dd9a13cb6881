"""The calibrations that are at hand: read and verified once, found by who answers, on which base and in which layout.

One that cannot be relied upon is left out, and the reason logged: answers then have no confidence, which harms nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.scoring import EvidenceNeeded, evidence_needed
from adaptrix_core.confidence.signed import CALIBRATION_FILE, CALIBRATIONS, SignedCalibration, read_calibration
from adaptrix_core.config import Settings
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.places import config_directory, shipped_adapters, shipped_keys

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationPlace:
    """A directory of calibrations, and the directories of keys that may vouch for them."""

    directory: Path
    keys: tuple[Path, ...]


def user_calibrations() -> Path:
    """The directory of the user's own calibrations."""
    return config_directory() / CALIBRATIONS


def calibration_places(trusted_keys: Path, own: Path | None = None) -> tuple[CalibrationPlace, ...]:
    """The shipped calibrations, then one's own, which count for more. The project's key vouches for shipped ones.

    own: the user's directory if None.
    """
    shipped = CalibrationPlace(shipped_adapters() / CALIBRATIONS, (trusted_keys, shipped_keys()))
    return (shipped, CalibrationPlace(own or user_calibrations(), (trusted_keys,)))


@dataclass
class CalibrationShelf:
    """The calibrations in some places; later places count for more."""

    places: Sequence[CalibrationPlace]
    trust: str = "require"
    """``off`` looks at no signatures; otherwise a calibration without one of a trusted key is left out."""
    poll_s: float = 5.0
    """Seconds for which the files are not looked at again."""
    now: Callable[[], float] = time.monotonic
    refused: dict[str, str] = field(default_factory=dict)
    """By directory, why a calibration was left out."""

    def __post_init__(self) -> None:
        self._found: Mapping[tuple[str, str, str], SignedCalibration] = {}
        self._stamps: object = None
        self._looked_at: float | None = None
        self._looking = threading.Lock()

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

    @property
    def is_due(self) -> bool:
        """Whether `refresh` would look at the files."""
        return self._looked_at is None or self.now() - self._looked_at >= self.poll_s

    def refresh(self) -> None:
        """Read what has changed on disk, if the last look is long enough ago. For any thread; takes a second where
        something has changed."""
        with self._looking:
            if self.is_due:
                self._look()
                self._looked_at = self.now()

    def _look(self) -> None:
        directories = [
            (found, place)
            for place in self.places
            for found in sorted(place.directory.glob(f"[!.]*/{CALIBRATION_FILE}"))
        ]
        keys = [key for place in self.places for directory in place.keys for key in sorted(directory.glob("*.pub"))]
        stamps = [(path, _stamp(path)) for path in (*(found for found, _ in directories), *keys)]
        if stamps != self._stamps:
            self._stamps, self._found = stamps, self._read([(path.parent, place) for path, place in directories])

    def find(self, base_digest: str, layout: str, answerer: str) -> ConfidenceCalibration | None:
        """The calibration for exactly these; None where there is none, and answers have no confidence."""
        found = self._found.get((base_digest, layout, answerer))
        return None if found is None else found.calibration

    def evidence_needed(self) -> EvidenceNeeded:
        """What the estimators of these calibrations look at beside tokens and their probabilities."""
        return evidence_needed({found.calibration.estimator for found in self._found.values()})

    def described(self, answerer: str) -> list[dict[str, Any]]:
        """What was measured of one who answers, for every base and layout, as JSON values."""
        shown = {"base_lineage", "base_digest", "layout", "estimator", "method", "measured", "curve", "provenance"}
        return [
            {**found.calibration.model_dump(mode="json", include=shown), "signer": found.signer}
            for key, found in self._found.items()
            if key[2] == answerer
        ]

    def _read(
        self, directories: Sequence[tuple[Path, CalibrationPlace]]
    ) -> Mapping[tuple[str, str, str], SignedCalibration]:
        found = {}
        self.refused = {}
        for directory, place in directories:
            try:
                read = read_calibration(directory, None if self.trust == "off" else _keys(place))
            except AdaptrixError as error:
                self.refused[directory.name] = f"{error.code}: {error.message}"
                logger.warning("calibration %s is left out: %s", directory, error.message)
                continue
            told = read.calibration
            found[told.base_digest, told.layout, told.answerer] = read
        return found


def _stamp(path: Path) -> int | None:
    """What changes with a file; None where it has just gone, or leads nowhere."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _keys(place: CalibrationPlace) -> list[TrustedKey]:
    return [key for directory in place.keys for key in read_trusted_keys(directory)]
