"""The store of objects that belong to tenants: responses, conversations, files, batches. The face to other rooms.

An object is a small document, and may have contents beside it, which are written and read in parts. It is found by
tenant, kind and id together: what belongs to another tenant is answered like what does not exist. `put` replaces in
one step, and what it has returned for is on the disk. `http/services.py` has the same methods as a protocol.
"""

from __future__ import annotations

from adaptrix_core.errors import Conflict
from deployments.objects.keeper import Keeper, Parts
from deployments.objects.records import Kind, ObjectKey, ObjectPage, StoredObject


class TenantObjects:
    """Objects through their keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def put_object(
        self, key: ObjectKey, document: bytes, ttl_s: float | None = None, gives_way: bool = False
    ) -> StoredObject:
        """Keep a document, in the place of the one that has its key.

        ttl_s: seconds until it expires; None: it stays. gives_way: when the tenant's quota is full, its oldest objects
        that give way are deleted for newer ones. Raises BodyTooLarge, QuotaFull, StorageFailed.
        """
        return await self._keeper.do(lambda parts: parts.table.put(key, document, ttl_s=ttl_s, gives_way=gives_way))

    async def get_object(self, key: ObjectKey) -> StoredObject:
        """The object. Raises ObjectNotFound."""
        return await self._keeper.do(lambda parts: parts.table.get(key))

    async def replace_object(
        self, key: ObjectKey, document: bytes, seen: str, ttl_s: float | None = None
    ) -> StoredObject:
        """Keep a document in the place of the one whose digest is ``seen``, as one step.

        Raises ObjectNotFound, Conflict where another one stands there by now, and what `put_object` raises.
        """
        return await self._keeper.do(lambda parts: _replace(parts, key, document, seen, ttl_s))

    async def delete_object(self, key: ObjectKey) -> None:
        """Delete the object. Raises ObjectNotFound, and Conflict for a file that a batch reads."""
        await self._keeper.do(lambda parts: _delete(parts, key))

    async def list_objects(
        self, tenant: str, kind: Kind, after: str | None = None, limit: int = 100, newest_first: bool = True
    ) -> ObjectPage:
        """The tenant's objects of a kind, those behind the id ``after``. Raises ObjectNotFound for an unknown one."""
        return await self._keeper.do(lambda parts: parts.table.page(tenant, kind, after, limit, newest_first))

    async def begin_upload(self, tenant: str) -> str:
        """The id of a new upload, which is forgotten when nothing is added for long. Raises Overloaded."""
        return await self._keeper.do(lambda parts: parts.uploads.begin(tenant))

    async def add_to_upload(self, upload_id: str, data: bytes) -> None:
        """Add bytes to an upload. Raises BodyTooLarge, QuotaFull, StorageFailed."""
        await self._keeper.do(lambda parts: parts.uploads.add(upload_id, data))

    async def finish_upload(
        self, upload_id: str, key: ObjectKey, document: bytes, ttl_s: float | None = None
    ) -> StoredObject:
        """Make the uploaded bytes the contents of a new object. Raises as `add_to_upload`."""
        return await self._keeper.do(lambda parts: parts.uploads.finish(upload_id, key, document, ttl_s))

    async def drop_upload(self, upload_id: str) -> None:
        """Forget an upload (idempotent)."""
        await self._keeper.do(lambda parts: parts.uploads.drop(upload_id))

    async def read_contents(self, key: ObjectKey, offset: int, length: int) -> bytes:
        """At most `READ_BYTES` of an object's contents, empty behind their end. Raises ObjectNotFound."""
        return await self._keeper.do(lambda parts: parts.table.read(key, offset, length))


def _replace(parts: Parts, key: ObjectKey, document: bytes, seen: str, ttl_s: float | None) -> StoredObject:
    if parts.table.get(key).document_digest != seen:
        raise Conflict(
            f"the {key.kind} {key.object_id[:80]!r} was changed by other requests meanwhile; send the request again",
            code="object_changed",
        )
    return parts.table.put(key, document, ttl_s=ttl_s)


def _delete(parts: Parts, key: ObjectKey) -> None:
    parts.table.get(key)
    reading = parts.lines.reading(key.tenant, key.object_id) if key.kind == "file" else None
    if reading is not None:
        raise Conflict(
            f"the file {key.object_id} is read by the batch {reading}, which is not over; cancel that, or wait",
            code="file_in_use",
        )
    parts.table.delete(key)
