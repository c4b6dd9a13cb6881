"""A package as the store sees it: its files, unverified, and the catalogue entry that describes them."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from adaptrix_core.adapters.package.contents import snapshot_adapter
from adaptrix_core.adapters.package.file_names import METADATA_FILE, PEFT_CONFIG_FILE
from adaptrix_core.adapters.package.file_rules import FileRule
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.manifest import AnyMetadata, CompositionMetadata, parse_package
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.reference import safe_name
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from adaptrix_core.composition.manifests.signed_step import canonical
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected
from deployments.shared.entry import Entry

PEFT_VERSION = "0"
"""Version of every PEFT directory, which has none of its own; it is loadable only where the trust policy is off."""


def read_unverified(directory: AdapterDirectory) -> Snapshot:
    """An adapter's files, under whatever names: replicas judge them. Raises the errors of `snapshot_adapter`."""
    return snapshot_adapter(directory, rules=lambda _name: FileRule("whole", DEFAULT_LIMITS.max_file_bytes))


def read_directory(directory: Path) -> Snapshot:
    """As `read_unverified`, of a local directory."""
    return read_unverified(LocalDirectory(directory))


def describe(snapshot: Snapshot, shown: str | None = None) -> Entry:
    """The catalogue entry of a package, from its own metadata. shown: a name that it is shown under instead of its own.

    Raises AdapterRejected (not_an_adapter, bad_metadata).
    """
    metadata = _metadata(snapshot)
    own = metadata.name if metadata else snapshot.origin
    name = safe_name(shown) if shown else own
    return Entry(
        name=name,
        shown=shown if shown and shown != name else "",
        version=metadata.version if metadata else PEFT_VERSION,
        package_digest=snapshot.package_digest,
        bundle_digest=snapshot.bundle_digest,
        signed_name=metadata.name if metadata else "",
        description=metadata.description if metadata else "",
        examples=metadata.routing_examples if metadata else (),
        keywords=metadata.routing_keywords if metadata else (),
        parts=_parts(metadata),
        composition=canonical(metadata.composition) if isinstance(metadata, CompositionMetadata) else "",
        loaded_at=int(time.time()),
        revision=secrets.token_hex(8),
    )


def _parts(metadata: AnyMetadata | None) -> tuple[tuple[str, PackageDigest], ...]:
    if not isinstance(metadata, CompositionMetadata):
        return ()
    return tuple((metadata.identity_of(called), part.package_digest) for called, part in metadata.parts.items())


def _metadata(snapshot: Snapshot) -> AnyMetadata | None:
    """The package's metadata; None for a PEFT directory, which has none."""
    data = snapshot.files.get(METADATA_FILE)
    if data is not None:
        return parse_package(data, snapshot.origin)
    if snapshot.is_peft:
        return None
    raise AdapterRejected(
        f"{snapshot.origin}: neither {METADATA_FILE} nor {PEFT_CONFIG_FILE} is in it; give the directory of one "
        "adapter",
        code="not_an_adapter",
    )
