"""A replica's revocation list, and the lease for which it may rely on it.

The source of a list is not trusted: a list counts if a trusted key has signed it, and only if it is not older than the
one held. Silence does not count as confirmation: unless the list in force is confirmed within the lease, no adapter is
served any more. Time is a clock that nobody can set, and that continues while the machine sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.adapters.trust.revocation import RevocationList, SignedList, verify_list
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected


def steady_clock() -> float:
    """Seconds since the machine started, suspended time included where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class RevocationLease:
    """The list in force on this replica. Unconfirmed at first."""

    def __init__(self, trusted_keys_dir: Path, max_age_s: float, clock: Callable[[], float] = steady_clock) -> None:
        self._trusted_keys_dir = trusted_keys_dir
        self.max_age_s = max_age_s
        self._clock = clock
        self._confirmed_at: float | None = None
        self.list = RevocationList()

    def now(self) -> float:
        """The lease's time, in seconds."""
        return self._clock()

    def confirm(self, files: SignedList | None, asked_at: float) -> bool:
        """Take over ``files`` as the list that was in force at ``asked_at``; returns whether it is another one than
        before.

        None means that no list was ever published, which counts only where none is held. Raises AdapterRejected (not
        signed by a trusted key, malformed) or Conflict (older than the list held), and then nothing is confirmed.
        """
        told = RevocationList() if files is None else verify_list(files, read_trusted_keys(self._trusted_keys_dir))
        self.list.require_successor(told)
        changed = told.number != self.list.number
        self.list = told
        self._confirmed_at = asked_at if self._confirmed_at is None else max(asked_at, self._confirmed_at)
        return changed

    def is_revoked(self, package_digest: PackageDigest) -> bool:
        """Whether the list in force names this package."""
        return package_digest in self.list.revoked

    def require_unrevoked(self, package_digest: PackageDigest | None) -> None:
        """Raise AdapterRejected: adapter_revoked, or adapter_unconfirmed past the lease, of an unknown package too."""
        if package_digest is not None and self.is_revoked(package_digest):
            raise AdapterRejected(self.reason(package_digest), code="adapter_revoked")
        age = None if self._confirmed_at is None else self._clock() - self._confirmed_at
        if age is None or age > self.max_age_s:
            when = "has never been confirmed" if age is None else f"was last confirmed {age:.0f} s ago"
            raise AdapterRejected(
                f"this replica's revocation list {when}, limit {self.max_age_s:.0f} s (adapters.revocation_max_age_s), "
                "so it serves the base model only; see whether the adapter store runs and can be reached",
                code="adapter_unconfirmed",
            )

    def reason(self, package_digest: PackageDigest) -> str:
        """Why a revoked package is not served, for messages."""
        return self.list.reason(package_digest)
