"""A package as the store sees it: its files, unverified, and the catalogue entry that describes them."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.metadata import AdapterMetadata, parse_metadata
from adaptrix_core.adapters.package.snapshot import Snapshot, read_snapshot
from adaptrix_core.adapters.peft.directory import CONFIG_FILE, foreign_kind, is_peft_directory, peft_snapshot
from adaptrix_core.errors import AdapterRejected
from deployments.shared.wire import Entry

PEFT_FILE = CONFIG_FILE
PEFT_VERSION = "0"
"""Version of every PEFT directory, which has none of its own; it is loadable only where the trust policy is off."""


def read_directory(directory: Path) -> Snapshot:
    """The adapter's files; of a PEFT directory only those that replicas read too, so that digests agree."""
    if is_peft_directory(directory):
        return peft_snapshot(directory)
    foreign = foreign_kind(directory)
    if foreign is not None:
        raise AdapterRejected(f"{directory.name}: {foreign}", code="not_an_adapter")
    return read_snapshot(directory, lambda _name: DEFAULT_LIMITS.max_file_bytes)


def describe(snapshot: Snapshot, name: str | None = None) -> Entry:
    """The catalogue entry of a package, from its own metadata. name: overrides the name in it.

    Raises AdapterRejected (not_an_adapter, bad_metadata).
    """
    metadata = _metadata(snapshot)
    return Entry(
        name=name or (metadata.name if metadata else snapshot.origin),
        version=metadata.version if metadata else PEFT_VERSION,
        package_digest=snapshot.package_digest,
        bundle_digest=snapshot.bundle_digest,
        signed_name=metadata.name if metadata else "",
        description=metadata.description if metadata else "",
        examples=metadata.routing_examples if metadata else (),
        loaded_at=int(time.time()),
        revision=secrets.token_hex(8),
    )


def _metadata(snapshot: Snapshot) -> AdapterMetadata | None:
    """The package's metadata; None for a PEFT directory, which has none."""
    data = snapshot.files.get(METADATA_FILE)
    if data is not None:
        return parse_metadata(data, snapshot.origin)
    if PEFT_FILE in snapshot.files:
        return None
    raise AdapterRejected(
        f"{snapshot.origin}: neither {METADATA_FILE} nor {PEFT_FILE} is in it; give the directory of one adapter",
        code="not_an_adapter",
    )
