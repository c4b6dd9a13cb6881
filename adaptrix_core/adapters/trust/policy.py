"""Decides whether an adapter may be loaded: signature policy, trusted keys, revocation.

Knows the policy, not the cryptography (`signing.py`) and not the contents (`adapters/package/format.py`). Keys and
revocations are read at every check, so a key added or a digest revoked counts from the next load on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.adapters.trust.revocation_directory import revocations_directory, verified_list
from adaptrix_core.adapters.trust.shipped import is_shipped
from adaptrix_core.adapters.trust.signing import verify_snapshot
from adaptrix_core.config.sections import AdapterSettings
from adaptrix_core.errors import AdapterRejected, ConfigError
from adaptrix_core.places import default_trusted_keys, shipped_keys

Policy = Literal["require", "warn", "off"]


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
    revocations_dir: Path | None = field(default=None, kw_only=True)
    """Directory of the signed revocation list, which need not be there before the first revocation. None: nobody looks
    for one here; a server's replicas are told of every list instead."""

    def __post_init__(self) -> None:
        if self.policy not in ("require", "warn", "off"):
            raise ConfigError([f"trust policy {self.policy!r}; known: require, warn, off"])

    @classmethod
    def of(cls, settings: AdapterSettings) -> Self:
        """The policy that settings describe, with the revocation list that a server with these settings has on disk."""
        directory = revocations_directory(settings.state_dir)
        return cls(settings.trust, settings.trusted_keys_dir, revocations_dir=directory)

    def check(self, snapshot: Snapshot) -> TrustReport:
        """Raise AdapterRejected (adapter_revoked, or a code of `verify_snapshot`) where the policy forbids the load.

        Raises ConfigError for keys, or a revocation list, that cannot be read and verified.
        """
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
        if self.revocations_dir is None:
            return
        told = verified_list(self.revocations_dir, read_trusted_keys(self.trusted_keys_dir))
        if snapshot.package_digest in told.revoked:
            raise AdapterRejected(f"{snapshot.origin}: {told.reason(snapshot.package_digest)}", code="adapter_revoked")
