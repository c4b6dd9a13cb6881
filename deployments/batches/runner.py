"""Works on all batches that are not over: one runner in a cluster, in the process that has the ledger.

Begins with what an earlier process has left, and hears of new batches and of those that are cancelled. What goes wrong
with one batch is tried again after a while, and holds up no other.
"""

from __future__ import annotations

import asyncio
import logging

from adaptrix_core.config import Settings
from deployments.batches.job import Job, Workshop
from deployments.batches.own_api import OwnApi
from deployments.batches.places import Places
from deployments.callers.key_ring import KeyRing
from deployments.objects.batch import BatchFault, BatchRecord
from deployments.objects.batch_ledger import BatchLedger

logger = logging.getLogger(__name__)

RETRY_S = 5.0
"""Seconds until something that went wrong is tried again."""
EMBEDDING_AT_ONCE = 2
"""Lines of embeddings under way: the embedder serves its callers in turn, without priorities."""
READING_AT_ONCE = 1


class BatchRunner:
    """The runner."""

    def __init__(self, ledger: BatchLedger, api: OwnApi, settings: Settings, keys: KeyRing) -> None:
        together = settings.engine.max_rows * settings.replicas.num_replicas
        self._ledger = ledger
        self._keys = keys
        self._shop = Workshop(
            ledger,
            api,
            generating=Places(settings.batches.rows_at_once or together),
            embedding=Places(EMBEDDING_AT_ONCE),
            reading=Places(READING_AT_ONCE),
            max_body_bytes=settings.security.max_body_bytes,
        )
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        ledger.tell(self._changed.set)

    def start(self) -> None:
        """Work from now on."""
        self._keep(asyncio.create_task(self._follow()))

    async def stop(self) -> None:
        """Leave all work where it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            try:
                running = await self._ledger.running()
            except Exception:
                logger.exception("the ledger of batches cannot be read; trying again")
                await asyncio.sleep(RETRY_S)
                continue
            for batch in running:
                self._take_up(batch)
            await self._changed.wait()

    def _take_up(self, batch: BatchRecord) -> None:
        job = self._jobs.get(batch.batch_id)
        if job is None:
            job = self._jobs[batch.batch_id] = Job(batch, self._shop)
            if not self._keys.has_tenant(batch.tenant):
                job.stop("failed", BatchFault("invalid_api_key", "no key of the batch's tenant is known any more"))
            self._keep(asyncio.create_task(self._run(batch, job)))
        elif batch.status == "cancelling":
            job.stop("cancelled")

    async def _run(self, batch: BatchRecord, job: Job) -> None:
        try:
            await job.run()
        except Exception:
            logger.exception("the batch %s is held up; trying again", batch.batch_id)
            await asyncio.sleep(RETRY_S)
        finally:
            del self._jobs[batch.batch_id]
        self._changed.set()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
