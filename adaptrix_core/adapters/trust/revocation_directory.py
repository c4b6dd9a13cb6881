"""The revocation list on disk: replaced by later lists only, readable by all who load adapters.

    <state_dir>/revocations/revocations.json, signature.json

Everybody who relies on it checks its signature; `RevocationBoard`, which writes it, checks only to keep mistakes out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.adapters.trust.revocation import RevocationList, SignedList, parse_list, read_list, verify_list
from adaptrix_core.errors import AdaptrixError, ConfigError


def revocations_directory(state_dir: Path) -> Path:
    """The directory of the list in a state directory."""
    return state_dir / "revocations"


def read_shared_list(state_dir: Path) -> SignedList | None:
    """The list in a state directory, unverified; None where none was published. OSError without the directory."""
    if not state_dir.is_dir():
        raise FileNotFoundError(f"no directory {state_dir}")
    return read_list(revocations_directory(state_dir))


def verified_list(directory: Path, keys: tuple[TrustedKey, ...]) -> RevocationList:
    """The list in ``directory``; the empty one where none was ever published.

    Raises ConfigError where it cannot be read or no trusted key signed it: it may name any adapter.
    """
    try:
        files = read_list(directory)
        if files is None and directory.parent.is_dir():
            atomic.recover(directory.parent)  # its writer may be between two renames, or have died there
            files = read_list(directory)
        return RevocationList() if files is None else verify_list(files, keys)
    except (AdaptrixError, OSError) as error:
        raise ConfigError(
            [f"the revocation list in {directory} cannot be relied upon, so no adapter is loaded: {error}"]
        ) from error


class RevocationBoard:
    """The list in force, for the one process that puts lists in force."""

    def __init__(self, state_dir: Path, trusted_keys_dir: Path) -> None:
        self._directory = revocations_directory(state_dir)
        self._trusted_keys_dir = trusted_keys_dir
        self.files: SignedList | None = None
        """The signed files; None before the first list."""
        self.list = RevocationList()

    def open(self) -> None:
        """Read the list on disk, which counts where it is later. Raises ConfigError where it cannot be read."""
        try:
            files = read_list(self._directory)
            told = RevocationList() if files is None else parse_list(files)
        except (AdaptrixError, OSError) as error:
            raise ConfigError(
                [f"{self._directory} cannot be read: {error}; put the newest signed list there (never an older one)"]
            ) from error
        if told.number > self.list.number:
            self.files, self.list = files, told

    def put_in_force(self, files: SignedList) -> RevocationList:
        """Put a list in force, durably. Raises AdapterRejected (untrusted key, malformed) or Conflict."""
        later = verify_list(files, read_trusted_keys(self._trusted_keys_dir))
        with suppress(ConfigError):  # a list that cannot be read is replaced
            self.open()  # `adaptrix revoke --local` may have written a later one meanwhile, which must not be lost
        self.list.require_successor(later)
        atomic.write_directory(self._directory, files)
        self.files, self.list = dict(files), later
        return later
