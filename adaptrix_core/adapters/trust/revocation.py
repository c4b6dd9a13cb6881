"""The list of revoked packages: numbered, so that an older one never replaces a newer one, and signed like an adapter.

A list is a directory of two files, `revocations.json` and `signature.json`; `model_signing verify key` accepts it. The
signature names exactly these files, so a list can never pass for an adapter, nor an adapter for a list. A trusted key
may sign both. Numbers only grow, and a later list replaces an earlier one as a whole: packages that it leaves out are
not revoked any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.package.file_rules import REFUSE, FileRule
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, Conflict

MAX_LIST_BYTES = 4 * 1024 * 1024
"""Largest size of each of the two files, in bytes: about 40,000 packages with a reason."""
MAX_NUMBER = 2**53 - 1
"""Largest number of a list: the largest integer that every JSON reader represents exactly."""

SignedList = Mapping[str, bytes]
"""The contents of the two files by name."""

_ORIGIN = "revocations"

_Digest = Annotated[PackageDigest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Reason = Annotated[str, StringConstraints(max_length=1000)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: Literal[1] = 1
    number: int = Field(ge=1, le=MAX_NUMBER)
    revoked: dict[_Digest, _Reason]


@dataclass(frozen=True)
class RevocationList:
    """One list. Number 0 is the empty list before the first signed one."""

    number: int = 0
    revoked: Mapping[PackageDigest, str] = field(default_factory=dict)
    """Reason by revoked package; may be empty."""

    def with_packages(self, reasons: Mapping[PackageDigest, str]) -> RevocationList:
        """The next list, with these packages added. reasons: why, by package; may be empty."""
        return RevocationList(self.number + 1, {**self.revoked, **reasons})

    def without(self, packages: Iterable[PackageDigest]) -> RevocationList:
        """The next list, without these packages. Raises AdapterNotFound where one is not on this one."""
        gone = set(packages)
        if missing := gone - set(self.revoked):
            raise AdapterNotFound(f"package {min(missing)} is not on revocation list {self.number}; nothing to undo")
        return RevocationList(self.number + 1, {p: why for p, why in self.revoked.items() if p not in gone})

    def reason(self, package: PackageDigest) -> str:
        """Why a package of this list is not loaded, for messages."""
        why = self.revoked[package] or "no reason given"
        return f"package {package} is revoked by list {self.number} ({why}); use another version"

    def require_successor(self, later: RevocationList) -> None:
        """Raise Conflict unless ``later`` may replace this list: it has a higher number, or is the same list."""
        if later.number < self.number:
            raise Conflict(
                f"revocation list {later.number} is older than list {self.number}, which is in force; numbers only "
                f"grow: fetch the list in force, change that, and sign it as {self.number + 1}",
                code="revocation_rollback",
            )
        if later.number == self.number and dict(later.revoked) != dict(self.revoked):
            raise Conflict(
                f"another revocation list has number {self.number} already; fetch it, add to it, and sign it as "
                f"{self.number + 1}",
                code="revocation_number_taken",
            )


def sign_list(revocations: RevocationList, private_key: Path) -> dict[str, bytes]:
    """The files of a list, signed. Raises AdapterRejected (bad_revocations, bad_key), AdapterNotFound (no key)."""
    try:
        document = _Document(number=revocations.number, revoked=dict(revocations.revoked))
    except ValidationError as error:
        raise _bad(str(error)) from error
    files = {REVOCATIONS_FILE: document.model_dump_json(indent=1).encode()}
    return {**files, SIGNATURE_FILE: sign_snapshot(Snapshot(_ORIGIN, files), private_key)}


def parse_list(files: SignedList) -> RevocationList:
    """The list in these files, its signature not checked. Raises AdapterRejected (bad_revocations)."""
    if set(files) != {REVOCATIONS_FILE, SIGNATURE_FILE}:
        raise _bad(f"it has the files {', '.join(sorted(files)) or 'none'}")
    if (size := max(len(data) for data in files.values())) > MAX_LIST_BYTES:
        raise _bad(f"a file has {size} bytes, limit {MAX_LIST_BYTES}")
    try:
        document = _Document.model_validate_json(files[REVOCATIONS_FILE])
    except ValidationError as error:
        raise _bad(str(error)) from error
    return RevocationList(document.number, document.revoked)


def verify_list(files: SignedList, keys: tuple[TrustedKey, ...]) -> RevocationList:
    """The list in these files, once its signature is verified by a trusted key.

    Raises AdapterRejected: bad_revocations, or a code of `verify_snapshot`.
    """
    revocations = parse_list(files)
    verify_snapshot(Snapshot(_ORIGIN, files), keys)
    return revocations


def read_list(directory: Path) -> dict[str, bytes] | None:
    """The files of the list in ``directory``, unverified; None where there is nothing of that name.

    Raises AdapterRejected or OSError for anything but a readable directory of these files.
    """
    try:
        directory.lstat()
    except FileNotFoundError:
        return None
    names = (REVOCATIONS_FILE, SIGNATURE_FILE)
    listed = LocalDirectory(directory).snapshot(
        lambda name: FileRule("whole", MAX_LIST_BYTES) if name in names else REFUSE
    )
    return dict(listed.files)


def _bad(what: str) -> AdapterRejected:
    return AdapterRejected(
        f"not a revocation list: {what}; it is the two files {REVOCATIONS_FILE} and {SIGNATURE_FILE}, as "
        "`adaptrix revoke` writes them",
        code="bad_revocations",
    )
