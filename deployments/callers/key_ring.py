"""Recognises callers by their keys."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adaptrix_core.errors import Unauthorized
from deployments.callers.key_file import KeyRecord, hash_key, read_keys
from deployments.callers.principal import LOCAL, Principal

ERA_BYTES = 16


class KeyRing:
    """The keys of one file, or none at all: then everybody is the local principal, on a server on loopback only."""

    def __init__(self, records: Iterable[KeyRecord] | None, now: Callable[[], float] = time.time) -> None:
        """records: None switches keys off. now: seconds since 1970."""
        self._now = now
        self._known: dict[str, _Known] | None = None
        self._by_id: dict[str, KeyRecord] = {}
        self._eras: dict[str, _Era] = {}
        if records is not None:
            self.replace(records)

    @classmethod
    def read(cls, path: Path | None) -> KeyRing:
        """The keys of a file; None for no keys. Raises ConfigError that names each fault."""
        return cls(None if path is None else read_keys(path))

    @property
    def enabled(self) -> bool:
        """Whether callers need a key."""
        return self._known is not None

    def replace(self, records: Iterable[KeyRecord]) -> None:
        """Go by these records from now on."""
        records = tuple(records)
        self._by_id = {record.id: record for record in records}
        self._known = _known(records)
        self._eras.clear()

    def why_ended(self, key_id: str) -> str | None:
        """Why requests that were begun with a key end now, or None where it still works."""
        if self._known is None:
            return None
        record = self._by_id.get(key_id)
        return "was removed" if record is None else record.why_refused(self._now())

    def has_tenant(self, tenant: str) -> bool:
        """Whether somebody may generate for a tenant now, so that what it has left with the server is worked on."""
        return any(one.tenant == tenant and "generate" in one.scopes for one in self._principals())

    def identify(self, authorization: str | None) -> Principal:
        """The principal of an ``Authorization`` header. Raises Unauthorized."""
        if self._known is None:
            return LOCAL
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("no API key; send the header 'Authorization: Bearer <key>', or 'x-api-key: <key>'")
        found = self._known.get(hash_key(key.strip()))
        if found is None:
            raise Unauthorized("this API key is not known; check it, or ask for a new one")
        why = found.why_refused(self._now())
        if why is not None:
            raise Unauthorized(f"API key {found.record.id!r} {why}; ask for a new one")
        return replace(found.principal, era=self._era_of(found.principal.tenant))

    def _era_of(self, tenant: str) -> bytes:
        """A digest of the ids of a tenant's working keys, looked at again when the next of them expires."""
        era, now = self._eras.get(tenant), self._now()
        if era is None or now >= era.until:
            working = [
                record for record in self._by_id.values() if record.tenant == tenant and not record.why_refused(now)
            ]
            ids = "\0".join(sorted(record.id for record in working))
            until = min((one.expires.timestamp() for one in working if one.expires is not None), default=math.inf)
            era = self._eras[tenant] = _Era(hashlib.sha256(ids.encode()).digest()[:ERA_BYTES], until)
        return era.name

    def _principals(self) -> Iterable[Principal]:
        if self._known is None:
            return (LOCAL,)
        now = self._now()
        return (known.principal for known in self._known.values() if known.why_refused(now) is None)


@dataclass(frozen=True)
class _Era:
    """While the same keys of a tenant work: a name of it, and until when at the latest, in seconds since 1970."""

    name: bytes
    until: float


@dataclass(frozen=True)
class _Known:
    """A key that is known: its record, who calls with it, and until when, in seconds since 1970, if not as ever."""

    record: KeyRecord
    principal: Principal
    until: float = math.inf

    def why_refused(self, now: float) -> str | None:
        if now >= self.until:
            return "was rotated: this is its former key"
        return self.record.why_refused(now)


def _known(records: Iterable[KeyRecord]) -> dict[str, _Known]:
    """By hash: a look-up's timing tells of hashes at most, and no key follows from one."""
    known = {}
    for record in records:
        known[record.sha256] = _Known(record, record.principal)
        if record.former is not None:
            known[record.former.sha256] = _Known(record, record.principal, record.former.until.timestamp())
    return known


def authorization_of(headers: Mapping[str, str]) -> str | None:
    """The ``Authorization`` that a caller presents, where one is there; Anthropic's clients send ``x-api-key``."""
    if "authorization" not in headers and "x-api-key" in headers:
        return f"Bearer {headers['x-api-key']}"
    return headers.get("authorization")
