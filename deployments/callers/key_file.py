"""The keys file: hashes of keys, never keys, and to whom they belong.

    {"keys": [{"id", "sha256", "tenant", "roles": ["user"], "scopes": [], "expires": "2027-01-31T00:00:00Z"}]}

Keys are random and long, so a plain hash cannot be searched.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from adaptrix_core.errors import ConfigError
from deployments.callers.principal import Principal
from deployments.callers.scopes import Role, Scope, granted

KEY_PREFIX = "adx-"


class KeyRecord(BaseModel):
    """One key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(min_length=1, max_length=64)
    roles: tuple[Role, ...] = ()
    scopes: tuple[Scope | Literal["admin"], ...] = ()
    """Beside those of the roles."""
    expires: AwareDatetime | None = None
    """When the key stops working, with its offset from UTC; None: never."""
    disabled: bool = False

    @model_validator(mode="after")
    def _grants_something(self) -> KeyRecord:
        if not self.roles and not self.scopes:
            raise ValueError("neither roles nor scopes: say what the key may do")
        return self

    @property
    def principal(self) -> Principal:
        """Who calls with this key."""
        return Principal(self.id, self.tenant, granted(self.scopes, self.roles))

    def why_refused(self, now: float) -> str | None:
        """Why the key does not work at ``now`` (seconds since 1970), or None."""
        if self.disabled:
            return "is disabled"
        if self.expires is not None and now >= self.expires.timestamp():
            return f"expired at {self.expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return None


class _KeysFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyRecord, ...] = Field(min_length=1)


def read_keys(path: Path) -> tuple[KeyRecord, ...]:
    """The records of a keys file. Raises ConfigError that names each fault."""
    try:
        content = _KeysFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(_faults(path, error)) from error
    for attribute in ("id", "sha256"):
        values = [getattr(record, attribute) for record in content.keys]
        if len(set(values)) < len(values):
            raise ConfigError([f"{path.name}: two keys have the same {attribute}; make them differ"])
    return content.keys


def hash_key(key: str) -> str:
    """The hash that the keys file stores for ``key``."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A fresh random key of 256 bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def _faults(path: Path, error: Exception) -> Sequence[str]:
    if isinstance(error, ValidationError):
        return [f"{path.name}: {'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
    return [f"{path.name}: cannot be read as a keys file: {error}"]
