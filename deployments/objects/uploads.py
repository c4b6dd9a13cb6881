"""Uploads on their way: contents that arrive in parts, counted against the limits while they do."""

from __future__ import annotations

import time
from dataclasses import dataclass

from adaptrix_core.errors import Overloaded
from deployments.objects.contents import ContentFiles
from deployments.objects.database import OVERHEAD_BYTES
from deployments.objects.records import ObjectKey, StoredObject
from deployments.objects.table import ObjectTable
from deployments.shared.errors import NotReady

IDLE_S = 600.0
"""Seconds without a new part after which an upload is forgotten: its sender has gone."""


@dataclass
class _Upload:
    tenant: str
    size: int
    touched_at: float


class Uploads:
    """The uploads of all tenants. For one thread at a time; forgotten with the process."""

    def __init__(self, table: ObjectTable, files: ContentFiles, at_once: int) -> None:
        """at_once: most uploads of one tenant at a time."""
        self._table = table
        self._files = files
        self._at_once = at_once
        self._open: dict[str, _Upload] = {}

    def begin(self, tenant: str) -> str:
        """The id of a new upload. Raises Overloaded."""
        if sum(upload.tenant == tenant for upload in self._open.values()) >= self._at_once:
            raise Overloaded(f"this tenant has {self._at_once} uploads under way; send this one after one of them")
        name = self._files.begin()
        self._open[name] = _Upload(tenant, 0, time.monotonic())
        return name

    def add(self, upload_id: str, data: bytes) -> None:
        """Add bytes. Raises BodyTooLarge, QuotaFull, StorageFailed, NotReady; the upload is over then."""
        upload = self._upload(upload_id)
        try:
            self._table.require_small(upload.size + len(data))
            under_way = sum(other.size for other in self._open.values() if other.tenant == upload.tenant)
            self._table.require_room(upload.tenant, under_way + len(data) + OVERHEAD_BYTES)
            self._files.append(upload_id, data)
        except BaseException:
            self.drop(upload_id)
            raise
        upload.size += len(data)
        upload.touched_at = time.monotonic()

    def finish(self, upload_id: str, key: ObjectKey, document: bytes, ttl_s: float | None) -> StoredObject:
        """Make an object of the upload. Raises as `add`."""
        upload = self._upload(upload_id)
        try:
            self._files.finish(upload_id)
            stored = self._table.put(key, document, ttl_s=ttl_s, content=upload_id, content_bytes=upload.size)
        except BaseException:
            self.drop(upload_id)
            raise
        del self._open[upload_id]
        return stored

    def drop(self, upload_id: str) -> None:
        """Forget an upload and its bytes (idempotent)."""
        if self._open.pop(upload_id, None) is not None:
            self._files.drop(upload_id)

    def sweep(self) -> None:
        """Forget uploads to which nothing was added for long."""
        now = time.monotonic()
        for name in [name for name, upload in self._open.items() if now - upload.touched_at > IDLE_S]:
            self.drop(name)

    def _upload(self, upload_id: str) -> _Upload:
        if upload_id not in self._open:
            raise NotReady("the upload was lost, because the store has restarted; send it again", code="store_lost")
        return self._open[upload_id]
