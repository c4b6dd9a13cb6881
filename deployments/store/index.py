"""The store's index on disk: the adapters loaded at run time, and the shipped ones that were unloaded.

Schema 1 named packages by package digest, which leaves the signature out, so that an unsigned copy could stand for the
shipped package itself. It is migrated: each directory is renamed to the bundle digest of its contents.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptrix_core.adapters.package import atomic
from adaptrix_core.digests import BundleDigest, PackageDigest
from adaptrix_core.errors import AdaptrixError, ConfigError
from deployments.shared.entry import Audience
from deployments.store.package_files import read_directory

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2


class Loaded(BaseModel):
    """One adapter that was loaded at run time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """As it is shown; files from before names could have capitals say the same."""
    bundle: BundleDigest
    loaded_at: int
    place: str = ""
    """The path that it was loaded from, as it was given."""
    tenant: str = ""
    shared_with: tuple[str, ...] = ()
    """As in `Entry`. Only written where it is not public: servers that know no tenants refuse such an index, and read
    every other one."""

    @property
    def audience(self) -> Audience:
        """Who sees it."""
        return Audience(self.tenant, self.shared_with)


class Index(BaseModel):
    """The whole index."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    loaded: tuple[Loaded, ...] = ()
    unloaded: tuple[PackageDigest, ...] = ()
    """Shipped adapters that were unloaded."""


def read_index(file: Path, packages: Path) -> Index:
    """The index in ``file``; empty without one. packages: directory of the named packages. Raises ConfigError."""
    if not file.exists():
        return Index()
    try:
        document = json.loads(file.read_bytes())
        if isinstance(document, dict) and document.get("schema_version") == 1:
            document = _by_bundle(document, packages)
            write_index(file, Index.model_validate(document))
        return Index.model_validate(document)
    except (OSError, ValueError, ValidationError, KeyError, TypeError) as error:
        raise ConfigError(
            [f"{file} cannot be read: {error}; restore it, or delete it to forget loaded adapters"]
        ) from error


def write_index(file: Path, index: Index) -> None:
    """Replace the index on disk, in one step."""
    document = index.model_dump(mode="json")
    document["loaded"] = [item.model_dump(mode="json", exclude_defaults=True) for item in index.loaded]
    atomic.write_file(file, json.dumps(document, indent=1).encode())


def _by_bundle(document: dict[str, Any], packages: Path) -> dict[str, Any]:
    """Migrate schema 1 to schema 2. Safe to repeat after an interruption."""
    bundles: dict[PackageDigest, BundleDigest] = {}
    for directory in list(packages.iterdir()):
        try:
            snapshot = read_directory(directory)
        except AdaptrixError as error:
            logger.error("%s cannot be read and is left out: %s", directory, error.message)
            continue
        if not (packages / snapshot.bundle_digest).exists():
            directory.rename(packages / snapshot.bundle_digest)
        bundles[snapshot.package_digest] = snapshot.bundle_digest
    loaded = []
    for item in document.get("loaded", ()):
        if item["package"] in bundles:
            kept = {"name": item["name"], "bundle": bundles[item["package"]], "loaded_at": item["loaded_at"]}
            loaded.append(kept)
        else:
            logger.error("adapter %s is forgotten: package %s is not there any more", item["name"], item["package"])
    return {"schema_version": SCHEMA_VERSION, "loaded": loaded, "unloaded": document.get("unloaded", ())}
