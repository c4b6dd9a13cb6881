"""The store of objects that belong to tenants: stored responses, files, batches. This is its face to other rooms.

An object is a small document, and may have contents beside it, which are written and read in parts. It is found by
tenant, kind and id together: what belongs to another tenant is answered like what does not exist. `put` replaces in
one step, and what it has returned for is on the disk. `http/services.py` has the same methods as a protocol.

All work is done by one thread, in order; the event loop only waits. The files are opened with the first call, and
where that fails (another process has them still, the disk is unusable), the call fails and the next one tries again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.request_limits import MOST
from deployments.objects.contents import ContentFiles
from deployments.objects.database import Database
from deployments.objects.records import Kind, ObjectKey, ObjectPage, StoredObject
from deployments.objects.table import ObjectTable
from deployments.objects.uploads import Uploads

T = TypeVar("T")

SWEEP_S = 30.0
"""Seconds between two looks for what has expired; nobody sees it meanwhile."""


class TenantObjects:
    """The store of one state directory; one process has it open at a time."""

    def __init__(self, state_dir: Path, limits: ObjectSettings, now: Callable[[], float] = time.time) -> None:
        self._directory = state_dir / "objects"
        self._limits = limits
        self._now = now
        self._thread = ThreadPoolExecutor(1, "adaptrix-objects")
        self._database: Database | None = None
        self._table: ObjectTable
        self._uploads: Uploads
        self._swept_at = 0.0

    async def put_object(
        self, key: ObjectKey, document: bytes, ttl_s: float | None = None, gives_way: bool = False
    ) -> StoredObject:
        """Keep a document, in the place of the one that has its key.

        ttl_s: seconds until it expires; None: it stays. gives_way: when the tenant's quota is full, its oldest objects
        that give way are deleted for newer ones. Raises BodyTooLarge, QuotaFull, StorageFailed.
        """
        return await self._do(lambda: self._table.put(key, document, ttl_s=ttl_s, gives_way=gives_way))

    async def get_object(self, key: ObjectKey) -> StoredObject:
        """The object. Raises ObjectNotFound."""
        return await self._do(lambda: self._table.get(key))

    async def delete_object(self, key: ObjectKey) -> None:
        """Delete the object. Raises ObjectNotFound."""
        await self._do(lambda: self._table.delete(key))

    async def list_objects(
        self, tenant: str, kind: Kind, after: str | None = None, limit: int = 100, newest_first: bool = True
    ) -> ObjectPage:
        """The tenant's objects of a kind, those behind the id ``after``. Raises ObjectNotFound for an unknown one."""
        return await self._do(lambda: self._table.page(tenant, kind, after, limit, newest_first))

    async def begin_upload(self, tenant: str) -> str:
        """The id of a new upload, which is forgotten when nothing is added for long. Raises Overloaded."""
        return await self._do(lambda: self._uploads.begin(tenant))

    async def add_to_upload(self, upload_id: str, data: bytes) -> None:
        """Add bytes to an upload. Raises BodyTooLarge, QuotaFull, StorageFailed."""
        await self._do(lambda: self._uploads.add(upload_id, data))

    async def finish_upload(
        self, upload_id: str, key: ObjectKey, document: bytes, ttl_s: float | None = None
    ) -> StoredObject:
        """Make the uploaded bytes the contents of a new object. Raises as `add_to_upload`."""
        return await self._do(lambda: self._uploads.finish(upload_id, key, document, ttl_s))

    async def drop_upload(self, upload_id: str) -> None:
        """Forget an upload (idempotent)."""
        await self._do(lambda: self._uploads.drop(upload_id))

    async def read_contents(self, key: ObjectKey, offset: int, length: int) -> bytes:
        """At most `READ_BYTES` of an object's contents, empty behind their end. Raises ObjectNotFound."""
        return await self._do(lambda: self._table.read(key, offset, length))

    async def close(self) -> None:
        """Let go of the files, when all that was asked before is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(self._opened, work))

    def _opened(self, work: Callable[[], T]) -> T:
        if self._database is None:
            database = Database(self._directory)
            files = ContentFiles(self._directory)
            self._table = ObjectTable(database, files, self._limits, self._now)
            self._uploads = Uploads(self._table, files, MOST.uploads_at_once)
            self._database = database
        if abs(self._now() - self._swept_at) > SWEEP_S:
            self._swept_at = self._now()
            self._table.sweep()
            self._uploads.sweep()
        return work()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
