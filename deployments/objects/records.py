"""The records of the store of tenants' objects, in the form in which they cross processes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Kind = Literal["batch", "conversation", "file", "response"]
"""What an object is; ids of two kinds are apart."""


@dataclass(frozen=True)
class ObjectKey:
    """The place of an object. Whoever asks gives his own tenant, so nobody reaches another's objects."""

    tenant: str
    kind: Kind
    object_id: str


@dataclass(frozen=True)
class StoredObject:
    """An object as the store has it."""

    key: ObjectKey
    document: bytes
    created_at: int
    """Seconds since the epoch."""
    expires_at: int | None
    """Seconds since the epoch; None: it stays until it is deleted."""
    content_bytes: int
    """Size of its contents, which are read in parts; 0 where it has none."""

    @property
    def document_digest(self) -> str:
        """SHA-256 of the document: what a change of it is based on."""
        return sha256(self.document).hexdigest()


@dataclass(frozen=True)
class ObjectPage:
    """Some of a tenant's objects of one kind, in order."""

    objects: tuple[StoredObject, ...]
    has_more: bool
