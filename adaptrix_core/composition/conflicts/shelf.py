"""The measured mixes that are at hand: read and verified once, found by the packages of a mix and their weights.

One that cannot be relied upon is left out, and the reason logged: the mix then counts as not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signed_shelf import SignedShelf
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, MixKey
from adaptrix_core.composition.conflicts.signed_mix import CONFLICT_FILE, CONFLICTS, read_measurement
from adaptrix_core.places import config_directory


def user_measurements() -> Path:
    """The directory of the user's own measurements."""
    return config_directory() / CONFLICTS


class ConflictShelf(SignedShelf[MeasuredMix]):
    """The measured mixes in some places."""

    kind = "measurement"
    file_name = CONFLICT_FILE

    def __post_init__(self) -> None:
        super().__post_init__()
        self._found: Mapping[MixKey, MeasuredMix] = {}

    def find(self, key: MixKey) -> MeasuredMix | None:
        """The measurement of a mix; of several layouts and bases, the one with the most conflict."""
        return self._found.get(key)

    def _read(self, directory: Path, keys: Sequence[TrustedKey] | None) -> MeasuredMix:
        return read_measurement(directory, keys)

    def _take(self, documents: Sequence[MeasuredMix]) -> None:
        found: dict[MixKey, MeasuredMix] = {}
        for read in documents:
            known = found.get(read.key)
            if known is None or read.score > known.score:
                found[read.key] = read
        self._found = found
