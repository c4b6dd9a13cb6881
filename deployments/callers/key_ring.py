"""Recognises callers by their keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from adaptrix_core.errors import Unauthorized
from deployments.callers.key_file import KeyRecord, hash_key, read_keys
from deployments.callers.principal import LOCAL, Principal


class KeyRing:
    """The keys of one file, or none at all: then everybody is the local principal, on a server on loopback only."""

    def __init__(self, records: Iterable[KeyRecord] | None, now: Callable[[], float] = time.time) -> None:
        """records: None switches keys off. now: seconds since 1970."""
        self._now = now
        # A look-up by the hash of what was presented: its timing tells of hashes at most, and no key follows from one.
        self._records = None if records is None else {one.sha256: (one, one.principal) for one in records}

    @classmethod
    def read(cls, path: Path | None) -> KeyRing:
        """The keys of a file; None for no keys. Raises ConfigError that names each fault."""
        return cls(None if path is None else read_keys(path))

    @property
    def enabled(self) -> bool:
        """Whether callers need a key."""
        return self._records is not None

    def has_tenant(self, tenant: str) -> bool:
        """Whether somebody may generate for a tenant now, so that what it has left with the server is worked on."""
        return any(one.tenant == tenant and "generate" in one.scopes for one in self._principals())

    def identify(self, authorization: str | None) -> Principal:
        """The principal of an ``Authorization`` header. Raises Unauthorized."""
        if self._records is None:
            return LOCAL
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("no API key; send the header 'Authorization: Bearer <key>', or 'x-api-key: <key>'")
        found = self._records.get(hash_key(key.strip()))
        if found is None:
            raise Unauthorized("this API key is not known; check it, or ask for a new one")
        record, principal = found
        why = record.why_refused(self._now())
        if why is not None:
            raise Unauthorized(f"API key {record.id!r} {why}; ask for a new one")
        return principal

    def _principals(self) -> Iterable[Principal]:
        if self._records is None:
            return (LOCAL,)
        now = self._now()
        return (principal for record, principal in self._records.values() if record.why_refused(now) is None)


def authorization_of(headers: Mapping[str, str]) -> str | None:
    """The ``Authorization`` that a caller presents, where one is there; Anthropic's clients send ``x-api-key``."""
    if "authorization" not in headers and "x-api-key" in headers:
        return f"Bearer {headers['x-api-key']}"
    return headers.get("authorization")
