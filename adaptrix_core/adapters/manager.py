"""The catalogue of adapters and compositions on disk: list, load, save, delete, validate.

A root, a local directory or a URL (read-only), holds one directory per package and version, called ``name`` or
``name@version``. The manager owns no memory:
whoever calls `load_adapter` owns the result (see `adapters/residency/loader.py`). Listing reads metadata only and
verifies nothing; a load verifies everything.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.atomic import recover, remove_directory, write_directory
from adaptrix_core.adapters.package.composition import Composition, read_composition, write_composition
from adaptrix_core.adapters.package.contents import check_files, is_composition, snapshot_adapter, snapshot_package
from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.fit import BaseMatch
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.manifest import AnyMetadata, CompositionMetadata, is_manifest, parse_package
from adaptrix_core.adapters.package.metadata import AdapterMetadata
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.directory import is_peft
from adaptrix_core.adapters.reference import NAME_PATTERN, AdapterReference
from adaptrix_core.adapters.sources.opening import is_location, open_directory, scheme_of
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from adaptrix_core.adapters.trust.keys import check_private_key
from adaptrix_core.adapters.trust.name_owners import NameOwners
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import (
    AdapterExists,
    AdapterNotFound,
    AdapterRejected,
    BaseModelError,
    Conflict,
    InvalidRequest,
)
from adaptrix_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from adaptrix_core.adapters.package.format import Adapter
    from adaptrix_core.adapters.package.validation import ValidationReport
    from adaptrix_core.base import BaseModel
    from adaptrix_core.injection.learned_gate import LearnedGate
    from adaptrix_core.injection.lora import LoraWeights

log = logging.getLogger(__name__)


class AdapterManager:
    """Adapters under one root directory, for one base model (without one they can be listed and validated only)."""

    def __init__(
        self,
        root: Path | str | None,
        base: BaseModel | None = None,
        trust: TrustPolicy | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        base_match: BaseMatch = "compatible",
        allowed_roots: Sequence[Path] | None = None,
    ) -> None:
        """root: a directory, an fsspec URL, or None for no catalogue, so that adapters are loaded by path only.

        allowed_roots: where a load by path may read (the root always may); None allows any path or URL.
        """
        self.root = None if root is None or scheme_of(root) is not None else Path(root)
        self._directory = None if root is None else open_directory(root)
        self.base = base
        self.trust = TrustPolicy() if trust is None else trust
        self._limits = limits
        self._base_match = base_match
        self._allowed_roots = None
        if allowed_roots is not None:
            self._allowed_roots = tuple(p.resolve() for p in (self.root, *allowed_roots) if p is not None)
        if self.root is not None and self.root.is_dir():
            recover(self.root)

    def list_adapters(self) -> list[AnyMetadata]:
        """Metadata of every readable package, by name, then version. Unverified; unreadable ones are logged."""
        return [metadata for metadata, _ in self._catalogue()]

    def get_adapter_metadata(self, name: str) -> AnyMetadata:
        """Metadata of ``name`` (its highest version) or ``name@version``. Raises AdapterNotFound."""
        return self._find(name)[0]

    def path_of(self, name: str) -> Path:
        """The local directory of ``name`` or ``name@version``. Raises AdapterNotFound, InvalidRequest behind a URL."""
        directory = self._find(name)[1]
        if self.root is None:
            raise InvalidRequest(f"adapter {name!r} is behind a URL and has no local path; use `snapshot`")
        return self.root / directory.name

    def check_exists(self, source: str | Path) -> None:
        """Raise AdapterNotFound, with the nearest names, unless there is such an adapter; its tensors are not read."""
        directory = self._locate(source)
        try:
            directory.file_names()
        except AdapterNotFound as error:
            raise AdapterNotFound(
                f"there is no directory {directory.location!r}; give a name, or the directory of an adapter"
            ) from error

    def snapshot(self, source: str | Path) -> Snapshot:
        """The bytes of an adapter, unverified, to be shipped elsewhere and loaded there with `load_snapshot`."""
        return snapshot_adapter(self._locate(source), self._limits)

    def load_adapter(self, source: str | Path) -> Adapter:
        """Load and verify ``name``, ``name@version``, or a directory (a Path, a string with a path separator, a URL).

        Raises AdapterNotFound, or AdapterRejected with a code of `error_codes.PACKAGE` (is_composition for one).
        """
        return _adapter(self.load_package(source))

    def load_package(self, source: str | Path) -> Adapter | Composition:
        """As `load_adapter`, of an adapter or of a composition, whose parts are not looked for."""
        directory = self._at(source) if is_location(source) else self._peft_called(str(source))
        if directory is None:
            return self._load_named(str(source))
        return self._read(snapshot_adapter(directory, self._limits), directory.location)

    def may_be_composition(self, source: str | Path) -> bool:
        """Whether a name has a composition among its versions here, or a directory holds one; nothing is verified."""
        if not is_location(source):
            wanted = AdapterReference.split(str(source))
            versions = [metadata for metadata, _ in self._versions(wanted.name)]
            return any(isinstance(metadata, CompositionMetadata) for metadata in versions)
        try:
            return is_manifest(self._at(source).read_file(METADATA_FILE, self._limits.max_metadata_bytes))
        except (AdapterNotFound, AdapterRejected):
            return False  # the load says what is wrong

    def check_name(self, name: str, adapter: Adapter) -> None:
        """Raise Conflict where ``name`` must not come to mean an adapter that was loaded by path.

        name_taken: it is the name of another package of the catalogue; name_owned: it is another signer's.
        """
        versions = self._versions(name)
        if versions and name != adapter.name:
            raise Conflict(
                f"{name!r} is the name of another package, not of {adapter.name!r}; choose a name that is free",
                code="name_taken",
                param="name",
            )
        if versions:
            self._owners(name).require(adapter.signer_key)

    def check_signer(self, name: str, version: str, private_key: Path) -> None:
        """Raise Conflict (name_owned) where a version signed with this key would not count beside the others there."""
        self._owners(name, version).require(check_private_key(private_key))

    def load_snapshot(self, snapshot: Snapshot) -> Adapter:
        """Verify and load an adapter from bytes: one of ours, or a PEFT adapter. Raises AdapterRejected."""
        return _adapter(self.load_package_snapshot(snapshot))

    def load_package_snapshot(self, snapshot: Snapshot) -> Adapter | Composition:
        """As `load_snapshot`, of an adapter or of a composition."""
        return self._read(snapshot, snapshot.origin)

    def save_adapter(
        self,
        metadata: AdapterMetadata,
        weights: LoraWeights,
        *,
        private_key: Path | None = None,
        overwrite: bool = False,
    ) -> AdapterMetadata:
        """Write an adapter under the root, signed if a key is given; returns the metadata as written.

        Raises AdapterExists where this version is there with other weights, unless ``overwrite``, and Conflict
        (name_owned) where the name is another signer's.
        """
        directory = self._directory_for(metadata, overwrite, weights.weights_digest)
        from adaptrix_core.adapters.package.format import write_package

        if private_key is not None:
            self.check_signer(metadata.name, metadata.version, private_key)
        return write_package(directory, metadata, weights, private_key=private_key)

    def save_composition(
        self,
        metadata: CompositionMetadata,
        gate: LearnedGate | None = None,
        *,
        private_key: Path | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write a composition under the root, with its learned gate, signed if a key is given; returns its directory.

        Raises AdapterExists where this version is there and composes otherwise, unless ``overwrite``, and Conflict
        (name_owned) where the name is another signer's.
        """
        directory = self._directory_for(metadata, overwrite, None)
        if private_key is not None:
            self.check_signer(metadata.name, metadata.version, private_key)
        write_composition(directory, metadata, gate, private_key=private_key)
        return directory

    def install(self, snapshot: Snapshot, *, overwrite: bool = False) -> AnyMetadata:
        """Copy a package, its signature included, under the root, once it has passed every check that a load makes."""
        adapter = self._read_package(snapshot)
        weights_digest = None if isinstance(adapter, Composition) else adapter.weights_digest
        directory = self._directory_for(adapter.metadata, overwrite, weights_digest)
        self._owners(adapter.name, adapter.version).require(adapter.signer_key)
        write_directory(directory, snapshot.files)
        return adapter.metadata

    def delete_adapter(self, name: str) -> None:
        """Delete ``name@version``, or ``name`` where it has one version only.

        Raises AdapterNotFound, or InvalidRequest where it has several versions and none is named.
        """
        wanted = AdapterReference.parse(name)
        versions = [metadata.version for metadata, _ in self._catalogue() if metadata.name == wanted.name]
        if wanted.version is None and len(versions) > 1:
            raise InvalidRequest(
                f"adapter {wanted.name!r} has versions {', '.join(versions)}; name one, such as "
                f"{wanted.name}@{versions[0]}"
            )
        remove_directory(self.path_of(name))

    def validate_adapter(self, source: str | Path) -> ValidationReport:
        """Run every check, keep going after a fault where that makes sense. Raises AdapterNotFound only."""
        from adaptrix_core.adapters.package.validation import ValidationReport, validate_snapshot

        directory = self._locate(source)
        try:
            snapshot = snapshot_package(directory, self._limits)
        except AdapterRejected as error:
            return ValidationReport(directory.name, ((error.code, error.message),))
        return validate_snapshot(snapshot, self.base, self.trust, self._limits, self._base_match)

    def _catalogue(self, name: str | None = None) -> list[tuple[AnyMetadata, AdapterDirectory]]:
        """Everything, or everything whose directory may be an adapter of this name."""
        found: list[tuple[AnyMetadata, AdapterDirectory]] = []
        limit = self._limits.max_metadata_bytes
        for directory in self._directories():
            if name not in (None, directory.name.partition("@")[0]):
                continue
            try:
                metadata = parse_package(directory.read_file(METADATA_FILE, limit), directory.name)
                if directory.name not in (metadata.name, metadata.identity):
                    raise _misnamed(directory, metadata)
                found.append((metadata, directory))
            except (AdapterRejected, AdapterNotFound) as error:
                if error.code == "missing_file":  # it holds something else: trusted keys, say
                    continue
                log.warning("adapter left out of the list: %s", error.message)
        return sorted(found, key=lambda entry: (entry[0].name, entry[0].version_key))

    def _directories(self) -> list[AdapterDirectory]:
        """The directories that may be adapters; hidden ones are not."""
        if self._directory is None:
            return []
        return [directory for directory in self._directory.directories() if not directory.name.startswith(".")]

    def _read(self, snapshot: Snapshot, location: str) -> Adapter | Composition:
        """location: of the adapter, for messages."""
        if not snapshot.is_peft:
            return self._read_package(snapshot)
        from adaptrix_core.adapters.peft.loading import load_peft

        check_files(snapshot, self._limits)
        return load_peft(snapshot, self.require_base(), self.trust, self._limits, location)

    def _read_package(self, snapshot: Snapshot) -> Adapter | Composition:
        from adaptrix_core.adapters.package.format import read_package  # tensors need torch, listing does not

        check_files(snapshot, self._limits)
        base = self.require_base()
        if is_composition(snapshot):
            return read_composition(snapshot, base.info, base.points, trust=self.trust, base_match=self._base_match)
        return read_package(
            snapshot, base.info, base.points, trust=self.trust, limits=self._limits, base_match=self._base_match
        )

    def _load_named(self, name: str) -> Adapter | Composition:
        """Load the version that a bare name means: the newest that is good and signed by the name's owner."""
        wanted = AdapterReference.parse(name)
        versions = self._versions(wanted.name) if wanted.version is None else []
        versions = versions or [self._find(name)]
        owners = self._owners(wanted.name) if len(versions) > 1 else None
        faults: list[AdapterRejected | Conflict] = []
        for place, (_, directory) in reversed(list(enumerate(versions))):
            try:
                if owners is not None:
                    owners.require_counting(place)
                adapter = self.load_package_snapshot(snapshot_package(directory, self._limits))
                if adapter.name != wanted.name:
                    raise _misnamed(directory, adapter.metadata)
            except (AdapterRejected, Conflict) as error:
                faults.append(error)
            else:
                for fault in faults:
                    log.warning("%s is loaded in place of a newer version: %s", adapter.identity, fault.message)
                return adapter
        raise faults[0]

    def _owners(self, name: str, replaced: str | None = None) -> NameOwners:
        """Whose ``name`` is, by the versions that lie here, without the one that is being replaced."""
        if self.trust.policy == "off":
            return NameOwners(name)
        versions = [entry for entry in self._versions(name) if entry[0].version != replaced]
        return NameOwners.of(name, [self._signer(directory) for _, directory in versions], self.trust.trusted_keys_dir)

    def _signer(self, directory: AdapterDirectory) -> str | None:
        try:
            return self.trust.check(snapshot_package(directory, self._limits)).signer_key
        except AdapterRejected:
            return None

    def _versions(self, name: str) -> list[tuple[AnyMetadata, AdapterDirectory]]:
        """Everything of this name in the catalogue, the lowest version first."""
        return [entry for entry in self._catalogue(name) if entry[0].name == name]

    def _find(self, name: str) -> tuple[AnyMetadata, AdapterDirectory]:
        wanted = AdapterReference.parse(name)
        catalogue = self._catalogue()
        matches = [entry for entry in catalogue if wanted.means(entry[0].name, entry[0].version)]
        if not matches:
            known = [text for metadata, _ in catalogue for text in (metadata.identity, metadata.name)]
            is_remote = self._directory is not None and self.root is None
            where = "a URL" if is_remote else f"the directory {str(self.root)!r}"
            raise AdapterNotFound(f"no adapter {name!r} in {where}; {did_you_mean(name, known, 'there are')}")
        return matches[-1]

    def _locate(self, source: str | Path) -> AdapterDirectory:
        if is_location(source):
            return self._at(source)
        return self._peft_called(str(source)) or self._find(str(source))[1]

    def _peft_called(self, name: str) -> AdapterDirectory | None:
        """The PEFT directory of this name under the root: it has no metadata, so it is not in the catalogue."""
        if self._directory is None or not re.match(NAME_PATTERN, name):
            return None
        directory = self._directory.child(name)
        return directory if is_peft(directory) else None

    def _at(self, location: str | Path) -> AdapterDirectory:
        """The directory at a path or URL. AdapterRejected (path_escape) where loads by path may not read."""
        if self._allowed_roots is not None:
            resolved, is_url = Path(location).resolve(), scheme_of(location) is not None
            if is_url or not any(resolved.is_relative_to(root) for root in self._allowed_roots):
                raise AdapterRejected(
                    f"path {str(location)!r} is outside the directories that adapters may be loaded from",
                    code="path_escape",
                )
        return open_directory(location)

    def _directory_for(self, metadata: AnyMetadata, overwrite: bool, weights_digest: WeightsDigest | None) -> Path:
        """``root/name`` for the first version of a name, ``root/name@version`` for further ones."""
        if self.root is None:
            raise InvalidRequest("adapters cannot be saved without a local adapters directory; set one (adapters_dir)")
        same_name = [(m, self.root / d.name) for m, d in self._catalogue() if m.name == metadata.name]
        for existing, path in same_name:
            if existing.version == metadata.version:
                if not overwrite and not _computes_the_same(existing, metadata, weights_digest):
                    raise AdapterExists(
                        f"adapter {metadata.identity} exists, and computes something else; give the new one another "
                        "version, or overwrite"
                    )
                return path
        return self.root / (metadata.identity if same_name else metadata.name)

    def require_base(self) -> BaseModel:
        """The base model. Raises BaseModelError where there is none."""
        if self.base is None:
            raise BaseModelError("adapters can only be loaded for a base model, this manager has none", code="bad_base")
        return self.base


def _adapter(package: Adapter | Composition) -> Adapter:
    if isinstance(package, Composition):
        raise AdapterRejected(
            f"{package.identity} is a composition and has no weights of its own; name one of its parts here: "
            f"{', '.join(map(package.metadata.identity_of, package.metadata.parts))}",
            code="is_composition",
        )
    return package


def _computes_the_same(existing: AnyMetadata, new: AnyMetadata, weights_digest: WeightsDigest | None) -> bool:
    """weights_digest: of the new one's weights; None for a composition."""
    if isinstance(existing, CompositionMetadata) and isinstance(new, CompositionMetadata):
        gates = [metadata.gate and metadata.gate.gate_digest for metadata in (existing, new)]
        return (existing.composition, existing.parts, gates[0]) == (new.composition, new.parts, gates[1])
    return isinstance(existing, AdapterMetadata) and existing.weights_digest == weights_digest


def _misnamed(directory: AdapterDirectory, metadata: AnyMetadata) -> AdapterRejected:
    return AdapterRejected(
        f"{directory.name}: metadata.json says {metadata.identity}; name the directory {metadata.name!r} or "
        f"{metadata.identity!r}",
        code="name_mismatch",
    )
