"""The store's permanent record of names: first signer and newest version of each, and the signers of all bundles.

    <state_dir>/catalogue/names.json

Replicas verify signatures and report the signers; here they are recorded, so that a name keeps its owner over restarts
and after its last version was unloaded. Transfers are read from beside the trusted keys. Any thread may call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.trust.name_owners import Transfer, owners_of, read_transfers
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import ConfigError
from deployments.shared.wire import Signer

logger = logging.getLogger(__name__)


class NameRecord(BaseModel):
    """The record of one name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: Signer | None = None
    """The first signer; None while only unsigned packages have had the name."""
    newest: str | None = None
    """The highest version that the bare name has meant."""


class _Book(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    names: dict[str, NameRecord] = {}
    signers: dict[BundleDigest, Signer | None] = {}
    """Signer of every bundle that a replica has held; None: nothing was verified."""


class NameBook:
    """The record of one store."""

    def __init__(self, state_dir: Path, trusted_keys_dir: Path) -> None:
        self._file = state_dir / "catalogue" / "names.json"
        self._trusted_keys_dir = trusted_keys_dir
        self._lock = threading.Lock()
        self._book = _Book()
        self._transfers: tuple[Transfer, ...] = ()

    def open(self, bundles: AbstractSet[BundleDigest]) -> None:
        """Read the file, and drop the signers of all but these bundles.

        Raises ConfigError where the file, or the transfers, cannot be read.
        """
        try:
            if self._file.exists():
                book = _Book.model_validate_json(self._file.read_bytes())
                signers = {bundle: signer for bundle, signer in book.signers.items() if bundle in bundles}
                self._book = book.model_copy(update={"signers": signers})
        except (OSError, ValidationError) as error:
            raise ConfigError(
                [f"{self._file} cannot be read: {error}; restore it, or delete it to forget who owns names"]
            ) from error
        self._transfers = read_transfers(self._trusted_keys_dir)

    def look(self) -> bool:
        """Read the transfers again; whether they have changed. An unreadable file changes nothing."""
        try:
            transfers = read_transfers(self._trusted_keys_dir)
        except ConfigError as error:
            logger.error("transfers of names are as they were: %s", error.message)
            return False
        known, self._transfers = self._transfers, transfers
        for transfer in transfers[len(known) :]:
            logger.warning(
                "name %r belongs to key %s (%s) from now on: transferred by %s at %s",
                *(transfer.name, transfer.key, transfer.to[:12], transfer.by, transfer.at),
            )
        return transfers != known

    def owners(self, name: str) -> tuple[str, ...]:
        """Fingerprints of all keys that ever owned ``name``, the present owner last."""
        first = self._record(name).first
        return owners_of(name, None if first is None else first.key, self._transfers)

    def owner_shown(self, name: str) -> str:
        """The present owner, for messages."""
        handed = [transfer for transfer in self._transfers if transfer.name == name]
        first = self._record(name).first
        if handed:
            return f"{handed[-1].key} ({handed[-1].to[:12]})"
        return "nobody" if first is None else f"{first.name} ({first.key[:12]})"

    def newest(self, name: str) -> str | None:
        """The highest version that the bare name has meant, whether or not it still exists."""
        return self._record(name).newest

    def knows(self, bundle: BundleDigest) -> bool:
        """Whether a replica has reported the signer of a bundle."""
        return bundle in self._book.signers

    def signer(self, bundle: BundleDigest) -> Signer | None:
        """The signer of a bundle; None where nothing was verified, or nothing is known."""
        return self._book.signers.get(bundle)

    def note(
        self,
        signers: Mapping[BundleDigest, Signer | None] | None = None,
        first: Mapping[str, Signer] | None = None,
        newest: Mapping[str, str] | None = None,
    ) -> None:
        """Record signers by bundle, and, by name, first signers (an existing one stays) and newest versions."""
        with self._lock:
            names = dict(self._book.names)
            for name, signer in (first or {}).items():
                record = names.get(name, NameRecord())
                if record.first is None:
                    names[name] = record.model_copy(update={"first": signer})
                    logger.info("name %r belongs to key %s (%s)", name, signer.name, signer.key[:12])
            for name, version in (newest or {}).items():
                names[name] = names.get(name, NameRecord()).model_copy(update={"newest": version})
            book = _Book(names=names, signers={**self._book.signers, **(signers or {})})
            self._write(book)

    def _record(self, name: str) -> NameRecord:
        return self._book.names.get(name, NameRecord())

    def _write(self, book: _Book) -> None:
        if book != self._book:
            atomic.write_file(self._file, book.model_dump_json(indent=1).encode())
            self._book = book
