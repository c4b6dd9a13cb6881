"""Who calls: API keys, tenants and scopes.

The keys file holds SHA-256 hashes, never keys: `{"keys": [{"id", "sha256", "tenant", "scopes"}]}`. Keys are random and
long, so a plain hash cannot be searched. Without a keys file every caller is the local principal, which is why such a
server must listen on loopback only (`require_loopback`). Knows no HTTP framework.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptrix_core.errors import ConfigError, Forbidden, Unauthorized

Scope = Literal["generate", "admin"]
KEY_PREFIX = "adx-"


@dataclass(frozen=True)
class Principal:
    """A caller that may use the server: its tenant and scopes."""

    key_id: str
    tenant: str
    scopes: frozenset[str]

    @property
    def salt(self) -> bytes:
        """Salt of this tenant's cache keys, which keeps its cached prompts apart from those of other tenants."""
        return hashlib.sha256(b"adaptrix-tenant\0" + self.tenant.encode()).digest()

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless this principal has ``scope``."""
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(
                f"API key {self.key_id!r} lacks the scope {scope!r} (it has: {held}); use a key that has it"
            )

    def require_priority(self, priority: int) -> None:
        """Raise Forbidden where ``priority`` is more urgent than this principal may ask for."""
        if priority < 0 and "admin" not in self.scopes:
            raise Forbidden(
                f"priority is {priority}; API key {self.key_id!r} lacks the scope 'admin', without which 0 is the most "
                "urgent: send 0 to 100",
                param="priority",
            )


LOCAL = Principal("local", "local", frozenset({"generate", "admin"}))


class _KeyRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(min_length=1, max_length=64)
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]


class _KeysFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[tuple[_KeyRecord, ...], Field(min_length=1)]


class KeyRing:
    """The keys of one file, or none at all (then everybody is the local principal)."""

    def __init__(self, records: Mapping[str, Principal] | None) -> None:
        """records: principal by the SHA-256 (hex) of its key; None switches keys off."""
        self._records = records

    @classmethod
    def read(cls, path: Path | None) -> KeyRing:
        """Read a keys file. Raises ConfigError that names each fault."""
        if path is None:
            return cls(None)
        try:
            content = _KeysFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(_faults(path, error)) from error
        for attribute in ("id", "sha256"):
            values = [getattr(record, attribute) for record in content.keys]
            if len(set(values)) < len(values):
                raise ConfigError([f"{path.name}: two keys have the same {attribute}; make them differ"])
        return cls({r.sha256: Principal(r.id, r.tenant, frozenset(r.scopes)) for r in content.keys})

    @property
    def enabled(self) -> bool:
        """Whether callers need a key."""
        return self._records is not None

    def has_tenant(self, tenant: str) -> bool:
        """Whether somebody may generate for a tenant now, so that what it has left with the server is worked on."""
        principals = (LOCAL,) if self._records is None else self._records.values()
        return any(known.tenant == tenant and "generate" in known.scopes for known in principals)

    def identify(self, authorization: str | None) -> Principal:
        """The principal of an ``Authorization`` header. Raises Unauthorized."""
        if self._records is None:
            return LOCAL
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("no API key; send the header 'Authorization: Bearer <key>', or 'x-api-key: <key>'")
        presented = hash_key(key.strip())
        found = None
        # Every record is compared, in constant time each, so that timing reveals nothing about the keys that exist.
        for expected, principal in self._records.items():
            if hmac.compare_digest(presented, expected):
                found = principal
        if found is None:
            raise Unauthorized("this API key is not known; check it, or ask for a new one")
        return found


def authorization_of(headers: Mapping[str, str]) -> str | None:
    """The ``Authorization`` that a caller presents, where one is there; Anthropic's clients send ``x-api-key``."""
    if "authorization" not in headers and "x-api-key" in headers:
        return f"Bearer {headers['x-api-key']}"
    return headers.get("authorization")


def hash_key(key: str) -> str:
    """The hash that the keys file stores for ``key``."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A fresh random key of 256 bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int) -> str:
    """The URL at which clients on this machine reach the server."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def require_loopback(host: str) -> None:
    """Raise ConfigError unless ``host`` is a loopback address; for servers without API keys."""
    if not is_loopback(host):
        raise ConfigError(
            [
                f"http_options.host = {host!r} without API keys: everybody who reaches it could load adapters; "
                "set security.api_keys_file, or listen on 127.0.0.1"
            ]
        )


def _faults(path: Path, error: Exception) -> list[str]:
    if isinstance(error, ValidationError):
        return [f"{path.name}: {'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
    return [f"{path.name}: cannot be read as a keys file: {error}"]
