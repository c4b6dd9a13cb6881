"""The store's copy of the revocation list: kept on disk, replaced by later lists only, readable by all.

    <state_dir>/revocations/revocations.json, signature.json

Replicas check every list themselves; the checks here only keep mistakes out. Knows no Ray.
"""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.adapters.trust.revocation import RevocationList, SignedList, parse_list, read_list, verify_list
from adaptrix_core.errors import AdaptrixError, ConfigError


def revocations_directory(state_dir: Path) -> Path:
    """The directory of the list in a store's state directory."""
    return state_dir / "revocations"


def read_shared_list(state_dir: Path) -> SignedList | None:
    """The list in a store's directory, unverified; None where none was published. OSError without the directory."""
    if not state_dir.is_dir():
        raise FileNotFoundError(f"no directory {state_dir}")
    return read_list(revocations_directory(state_dir))


class RevocationBoard:
    """The list in force."""

    def __init__(self, state_dir: Path, trusted_keys_dir: Path) -> None:
        self._directory = revocations_directory(state_dir)
        self._trusted_keys_dir = trusted_keys_dir
        self.files: SignedList | None = None
        """The signed files; None before the first list."""
        self.list = RevocationList()

    def open(self) -> None:
        """Read the list that was published last. Raises ConfigError where it cannot be read."""
        try:
            self.files = read_list(self._directory)
            if self.files is not None:
                self.list = parse_list(self.files)
        except (AdaptrixError, OSError) as error:
            raise ConfigError(
                [f"{self._directory} cannot be read: {error}; put the newest signed list there (never an older one)"]
            ) from error

    def publish(self, files: SignedList) -> RevocationList:
        """Put a list in force, durably. Raises AdapterRejected (untrusted key, malformed) or Conflict."""
        later = verify_list(files, read_trusted_keys(self._trusted_keys_dir))
        self.list.require_successor(later)
        atomic.write_directory(self._directory, files)
        self.files, self.list = dict(files), later
        return later
