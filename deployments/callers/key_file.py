"""The keys file: hashes of keys, never keys, and to whom they belong.

    {"keys": [{"id", "sha256", "tenant", "roles": ["user"], "scopes": [], "expires": "2027-01-31T00:00:00Z"}]}

Keys are random and long, so a plain hash cannot be searched. `adaptrix keys` writes the file, servers follow it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from adaptrix_core.errors import ConfigError
from adaptrix_core.replaced_file import replaced_file
from adaptrix_core.request_limits import MOST
from deployments.callers.principal import Principal
from deployments.callers.scopes import Role, Scope, granted

T = TypeVar("T")

KEY_PREFIX = "adx-"
SHA256 = r"^[0-9a-f]{64}$"


class FormerKey(BaseModel):
    """The key that a record had before it was rotated, which still works for a while."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=SHA256)
    until: AwareDatetime


class KeyRecord(BaseModel):
    """One key, and the one that it has taken the place of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=SHA256)
    tenant: str = Field(min_length=1, max_length=MOST.tenant_characters)
    roles: tuple[Role, ...] = ()
    scopes: tuple[Scope | Literal["admin"], ...] = ()
    """Beside those of the roles."""
    expires: AwareDatetime | None = None
    """When the key stops working, with its offset from UTC; None: never."""
    disabled: bool = False
    former: FormerKey | None = None

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
    ids = [record.id for record in content.keys]
    hashes = [key for one in content.keys for key in (one.sha256, *((one.former.sha256,) if one.former else ()))]
    for attribute, values in (("id", ids), ("sha256", hashes)):
        if len(set(values)) < len(values):
            raise ConfigError([f"{path.name}: two keys have the same {attribute}; make them differ"])
    return content.keys


def change_keys(
    path: Path, change: Callable[[tuple[KeyRecord, ...]], tuple[tuple[KeyRecord, ...], T]]
) -> tuple[tuple[KeyRecord, ...], T]:
    """Change a keys file, which is made where there is none, and return what ``change`` has.

    Two who change it at the same time do so one after the other. Raises ConfigError for a file that is none, OSError,
    and what ``change`` raises, which leaves the file as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records, result = change(read_keys(path) if path.exists() else ())
        _write(path, records)
    return records, result


def _write(path: Path, records: Sequence[KeyRecord]) -> None:
    """Replace the file in one step, readable by its owner alone; it is on the disk when this returns."""
    documents = [record.model_dump(mode="json", exclude_defaults=True) for record in records]
    with replaced_file(path) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(json.dumps({"keys": documents}, indent=1).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


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
