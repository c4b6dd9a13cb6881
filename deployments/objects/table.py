"""The objects of tenants in the database: kept and found by owner, held to quotas, expired.

Every query names the tenant, so another's object is as good as none. Contents are files (`contents.py`): a row names
them once they are in place, and they are deleted after their row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.errors import StorageFailed
from deployments.objects.contents import ContentFiles
from deployments.objects.database import OVERHEAD_BYTES, Database
from deployments.objects.records import Kind, ObjectKey, ObjectPage, StoredObject
from deployments.shared.errors import BodyTooLarge, ObjectNotFound, QuotaFull

SWEPT_AT_ONCE = 500
"""Most objects that one sweep deletes."""
PAGE = 1000
"""Most objects of one page."""

_COLUMNS = "id, document, created_at, expires_at, content_bytes"


class ObjectTable:
    """The table. For one thread at a time; all methods may raise StorageFailed."""

    def __init__(
        self, database: Database, files: ContentFiles, limits: ObjectSettings, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._files = files
        self._limits = limits
        self._now = now
        files.recover({name for (name,) in database.rows("SELECT content FROM objects WHERE content IS NOT NULL")})

    def put(
        self,
        key: ObjectKey,
        document: bytes,
        *,
        ttl_s: float | None = None,
        gives_way: bool = False,
        content: str | None = None,
        content_bytes: int = 0,
    ) -> StoredObject:
        """Keep an object, in the place of the one that has its key. Raises BodyTooLarge, QuotaFull, StorageFailed.

        gives_way: whether newer objects of its tenant may take its room. content: finished contents, which it owns.
        """
        self.require_small(len(document) + content_bytes)
        created = int(self._now())
        expires = None if ttl_s is None else created + math.ceil(ttl_s)
        dropped: list[str] = []
        with self._database.transaction():
            dropped += self._contents_of("tenant = ? AND kind = ? AND id = ?", key.tenant, key.kind, key.object_id)
            self._remove("tenant = ? AND kind = ? AND id = ?", key.tenant, key.kind, key.object_id)
            dropped += self._make_room(key.tenant, len(document) + content_bytes + OVERHEAD_BYTES)
            stored = StoredObject(key, document, created, expires, content_bytes)
            self.insert(stored, content, gives_way)
        self._drop(dropped)
        return stored

    def insert(self, stored: StoredObject, content: str | None = None, gives_way: bool = False) -> None:
        """Keep an object inside a transaction of the caller, who has made room for it."""
        key = stored.key
        self._database.change(
            "INSERT INTO objects (tenant, kind, id, created_at, expires_at, gives_way, document, content, "
            "content_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(key.tenant, key.kind, key.object_id, stored.created_at, stored.expires_at, gives_way),
            *(stored.document, content, stored.content_bytes),
        )

    def update(self, key: ObjectKey, document: bytes | None = None, content_bytes: int | None = None) -> None:
        """Change the document of an object, or what it counts beside it, inside a transaction of the caller."""
        self._database.change(
            "UPDATE objects SET document = ifnull(?, document), content_bytes = ifnull(?, content_bytes) "
            "WHERE tenant = ? AND kind = ? AND id = ?",
            *(document, content_bytes, key.tenant, key.kind, key.object_id),
        )

    def charge(self, key: ObjectKey, size: int) -> None:
        """Count further bytes for an object, inside a transaction of the caller. Raises QuotaFull, StorageFailed."""
        self.require_room(key.tenant, size)
        self._database.change(
            "UPDATE objects SET content_bytes = content_bytes + ? WHERE tenant = ? AND kind = ? AND id = ?",
            *(size, key.tenant, key.kind, key.object_id),
        )

    def keep_until(self, key: ObjectKey, expires_at: int) -> None:
        """Let an object stay until then at least."""
        self._database.change(
            "UPDATE objects SET expires_at = max(expires_at, ?) WHERE tenant = ? AND kind = ? AND id = ?",
            *(expires_at, key.tenant, key.kind, key.object_id),
        )

    def get(self, key: ObjectKey) -> StoredObject:
        """The object. Raises ObjectNotFound."""
        found = self._database.rows(
            f"SELECT {_COLUMNS} FROM objects WHERE tenant = ? AND kind = ? AND id = ?",
            *(key.tenant, key.kind, key.object_id),
        )
        if not found or self._is_over(found[0]):
            not_found(key)
        return _stored(key.tenant, key.kind, found[0])

    def delete(self, key: ObjectKey) -> None:
        """Delete the object and its contents. Raises ObjectNotFound."""
        self.get(key)
        dropped = self._contents_of("tenant = ? AND kind = ? AND id = ?", key.tenant, key.kind, key.object_id)
        with self._database.transaction():
            self._remove("tenant = ? AND kind = ? AND id = ?", key.tenant, key.kind, key.object_id)
        self._drop(dropped)

    def page(self, tenant: str, kind: Kind, after: str | None, limit: int, newest_first: bool) -> ObjectPage:
        """The tenant's objects in the order of their making, those behind ``after``; at most `PAGE`.

        Raises ObjectNotFound where there is no object ``after``.
        """
        limit = min(limit, PAGE)
        direction, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        start: list[Any] = []
        if after is not None:
            self.get(ObjectKey(tenant, kind, after))
            start = [tenant, kind, after]
        behind = f"AND number {beyond} (SELECT number FROM objects WHERE tenant = ? AND kind = ? AND id = ?)"
        found = self._database.rows(
            f"SELECT {_COLUMNS} FROM objects WHERE tenant = ? AND kind = ? {behind if start else ''} "
            f"AND (expires_at IS NULL OR expires_at > ?) ORDER BY number {direction} LIMIT ?",
            *(tenant, kind, *start, self._now(), limit + 1),
        )
        return ObjectPage(tuple(_stored(tenant, kind, row) for row in found[:limit]), len(found) > limit)

    def read(self, key: ObjectKey, offset: int, length: int) -> bytes:
        """A part of the object's contents, empty behind their end. Raises ObjectNotFound."""
        size = self.get(key).content_bytes
        (name,) = self._contents_of("tenant = ? AND kind = ? AND id = ?", key.tenant, key.kind, key.object_id) or [""]
        return self._files.read(name, size, offset, length)

    def sweep(self) -> int:
        """Delete what has expired, the oldest first; how many objects that were."""
        over = "number IN (SELECT number FROM objects WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
        now = self._now()
        dropped = self._contents_of(over, now, SWEPT_AT_ONCE)
        with self._database.transaction():
            gone = self._remove(over, now, SWEPT_AT_ONCE)
        self._drop(dropped)
        if gone:
            self._database.rows("PRAGMA incremental_vacuum(1000)")
        return gone

    def require_small(self, size: int) -> None:
        """Raise BodyTooLarge where an object of ``size`` bytes is larger than one may be."""
        if size > (most := self._limits.max_object_bytes):
            raise BodyTooLarge(
                f"the object has {size} bytes or more; at most {most} are kept (setting objects.max_object_bytes): "
                "send less, or several"
            )

    def require_room(self, tenant: str, size: int) -> None:
        """Raise QuotaFull or StorageFailed where ``size`` bytes more would be too many, whatever gives way."""
        self._require_room(tenant, size, self._used(tenant))

    def _make_room(self, tenant: str, size: int) -> list[str]:
        """Let the tenant's objects that give way go, oldest first, as far as needed; the contents to delete."""
        dropped: list[str] = []
        oldest = "number = (SELECT number FROM objects WHERE tenant = ? AND gives_way ORDER BY number LIMIT 1)"
        while (used := self._used(tenant)) + size > self._limits.max_tenant_bytes:
            names = self._contents_of(oldest, tenant)
            if not self._remove(oldest, tenant):
                break
            dropped += names
        self._require_room(tenant, size, used)
        return dropped

    def _require_room(self, tenant: str, size: int, used: int) -> None:
        if used + size > (most := self._limits.max_tenant_bytes):
            raise QuotaFull(
                f"{used} bytes of objects are kept for this tenant and {size} more would be over its quota of {most} "
                "(setting objects.max_tenant_bytes): delete files or other objects that are not needed"
            )
        (everything,) = self._database.rows("SELECT total(size) FROM usage")[0]
        if everything + size > self._limits.max_bytes:
            raise StorageFailed(
                f"the server keeps as many bytes of objects as it may (setting objects.max_bytes, "
                f"{self._limits.max_bytes}); its operator has to allow more, or tenants to delete some",
                code="storage_full",
            )

    def _used(self, tenant: str) -> int:
        return sum(size for (size,) in self._database.rows("SELECT size FROM usage WHERE tenant = ?", tenant))

    def _contents_of(self, condition: str, *values: Any) -> list[str]:
        query = f"SELECT content FROM objects WHERE content IS NOT NULL AND {condition}"
        return [name for (name,) in self._database.rows(query, *values)]

    def _remove(self, condition: str, *values: Any) -> int:
        return self._database.change(f"DELETE FROM objects WHERE {condition}", *values)

    def _drop(self, contents: Iterable[str]) -> None:
        for name in contents:
            self._files.drop(name)

    def _is_over(self, row: tuple[Any, ...]) -> bool:
        return row[3] is not None and row[3] <= self._now()


def not_found(key: ObjectKey) -> NoReturn:
    """Raise ObjectNotFound: the same for an object of another tenant as for one that was never there."""
    raise ObjectNotFound(
        f"there is no {key.kind} {key.object_id[:80]!r}, or not any more; list what there is, or make a new one"
    )


def _stored(tenant: str, kind: Kind, row: tuple[Any, ...]) -> StoredObject:
    object_id, document, created_at, expires_at, content_bytes = row
    return StoredObject(ObjectKey(tenant, kind, object_id), document, created_at, expires_at, content_bytes)
