"""The measured mixes that are at hand: read and verified once, found by the packages of a mix and their weights.

One that cannot be relied upon is left out, and the reason logged: the mix then counts as not measured.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, MixKey
from adaptrix_core.composition.conflicts.signed_mix import CONFLICT_FILE, CONFLICTS, read_measurement
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.places import config_directory

logger = logging.getLogger(__name__)

MOST_MEASUREMENTS = 1000
"""Measurements that are read of one directory, in the order of their names."""


def user_measurements() -> Path:
    """The directory of the user's own measurements."""
    return config_directory() / CONFLICTS


@dataclass
class ConflictShelf:
    """The measured mixes in one directory."""

    directory: Path
    trusted_keys: Path
    trust: str = "require"
    """``off`` looks at no signatures; otherwise a measurement without one of a trusted key is left out."""
    poll_s: float = 5.0
    """Seconds for which the files are not looked at again."""
    now: Callable[[], float] = time.monotonic
    refused: dict[str, str] = field(default_factory=dict)
    """By directory, why a measurement was left out."""

    def __post_init__(self) -> None:
        self._found: Mapping[MixKey, MeasuredMix] = {}
        self._stamps: object = None
        self._looked_at: float | None = None
        self._looking = threading.Lock()

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

    def find(self, key: MixKey) -> MeasuredMix | None:
        """The measurement of a mix; of several layouts and bases, the one with the most conflict."""
        return self._found.get(key)

    def _look(self) -> None:
        files = sorted(self.directory.glob(f"[!.]*/{CONFLICT_FILE}"))
        if len(files) > MOST_MEASUREMENTS:
            logger.warning(
                "%s has %d measurements; the first %d are read", self.directory, len(files), MOST_MEASUREMENTS
            )
        files = files[:MOST_MEASUREMENTS]
        stamps = [(path, _stamp(path)) for path in (*files, *sorted(self.trusted_keys.glob("*.pub")))]
        if stamps != self._stamps:
            self._stamps, self._found = stamps, self._read([path.parent for path in files])

    def _read(self, directories: list[Path]) -> Mapping[MixKey, MeasuredMix]:
        keys = None if self.trust == "off" else _keys(self.trusted_keys)
        found: dict[MixKey, MeasuredMix] = {}
        self.refused = {}
        for directory in directories:
            try:
                read = read_measurement(directory, keys)
            except AdaptrixError as error:
                self.refused[directory.name] = f"{error.code}: {error.message}"
                logger.warning("measurement %s is left out: %s", directory, error.message)
                continue
            known = found.get(read.key)
            if known is None or read.score > known.score:
                found[read.key] = read
        return found


def _stamp(path: Path) -> int | None:
    """What changes with a file; None where it has just gone, or leads nowhere."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _keys(directory: Path) -> list[TrustedKey]:
    return list(read_trusted_keys(directory)) if directory.is_dir() else []
