"""Decides whether an adapter may be loaded: signature policy, trusted keys, revocation.

Knows the policy, not the cryptography (`signing.py`) and not the contents (`adapters/package/format.py`). Keys and
revocations are read at every check, so a key added or a digest revoked counts from the next load on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.adapters.trust.shipped import is_shipped
from adaptrix_core.adapters.trust.signing import verify_snapshot
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected, ConfigError
from adaptrix_core.places import default_trusted_keys, shipped_keys

Policy = Literal["require", "warn", "off"]

_REVOKED_LINE = re.compile(r"^([0-9a-f]{64})(?:\s+(.*))?$")


@dataclass(frozen=True)
class TrustReport:
    """The result of a check."""

    signer: str | None
    """Name of the trusted key; None where nothing was verified."""
    warnings: tuple[str, ...] = ()
    signer_key: str | None = None
    """Fingerprint of the signer's key, by which owners of names are identified."""


@dataclass(frozen=True)
class TrustPolicy:
    """``require``: only signed by a trusted key. ``warn``: load anyway, with a warning. ``off``: do not look.

    A revoked package digest is refused under every policy.
    """

    policy: Policy = "require"
    trusted_keys_dir: Path = field(default_factory=default_trusted_keys)
    """Directory of ``*.pub`` PEM files. The default is the user's own; in addition, the project's key is trusted for
    the adapters that the project ships, and for no others."""
    revocation_file: Path | None = None
    """File of revoked packages: one package digest (64 hex digits) per line, optionally with a reason; ``#`` begins a
    comment."""

    def __post_init__(self) -> None:
        if self.policy not in ("require", "warn", "off"):
            raise ConfigError([f"trust policy {self.policy!r}; known: require, warn, off"])

    def check(self, snapshot: Snapshot) -> TrustReport:
        """Raise AdapterRejected (revoked, or a code of `verify_snapshot`) where the policy forbids the load."""
        self._refuse_revoked(snapshot)
        if self.policy == "off":
            return TrustReport(signer=None)
        try:
            key = verify_snapshot(snapshot, self._keys_for(snapshot))
        except AdapterRejected as error:
            if self.policy == "require":
                raise
            return TrustReport(signer=None, warnings=(f"{error.code}: {error.message}",))
        return TrustReport(signer=key.name, signer_key=key.fingerprint)

    def _keys_for(self, snapshot: Snapshot) -> tuple[TrustedKey, ...]:
        keys = read_trusted_keys(self.trusted_keys_dir)
        if self.trusted_keys_dir.resolve() == default_trusted_keys().resolve() and is_shipped(snapshot):
            keys += read_trusted_keys(shipped_keys())
        return keys

    def _refuse_revoked(self, snapshot: Snapshot) -> None:
        if self.revocation_file is None:
            return
        revoked = read_revocations(self.revocation_file)
        if snapshot.package_digest in revoked:
            reason = revoked[snapshot.package_digest] or "no reason given"
            raise AdapterRejected(
                f"{snapshot.origin}: package {snapshot.package_digest} is revoked ({reason}); get a newer version",
                code="revoked",
            )


def read_revocations(path: Path) -> dict[PackageDigest, str]:
    """Revoked packages, each with a reason, which may be empty.

    A file that is configured but missing or broken is a ConfigError, not an empty list.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"revocation list {path.name!r} cannot be read: {error}"]) from error
    revoked: dict[PackageDigest, str] = {}
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        match = _REVOKED_LINE.match(text)
        if match is not None:
            revoked[PackageDigest(match[1])] = match[2] or ""
        elif text:
            faults.append(f"revocation list {path.name!r}, line {number}: expected a package digest of 64 hex digits")
    if faults:
        raise ConfigError(faults)
    return revoked
