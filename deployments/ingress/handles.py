"""Implements the ports of generation and HTTP by Ray's handles: replicas, their tokenizer, and stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle

from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.config import Settings
from adaptrix_core.digests import BundleDigest
from deployments.generation.ports import Batches
from deployments.ingress.scaled_to_zero import ScaledToZero
from deployments.objects.batch import BatchAsked, BatchPage, BatchRecord
from deployments.objects.records import Kind, ObjectKey, ObjectPage, StoredObject
from deployments.ray_seam import ask, begin_call
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Audience, Entry, LoadCall
from deployments.shared.errors import RAY_ERRORS, NotReady, as_core_error
from deployments.shared.living_replicas import living
from deployments.shared.model_ids import public_id
from deployments.shared.token_calls import CountCall, Counted, DetokenizeCall, TokenizeCall, Tokenized
from deployments.shared.wire import PLAIN, GenerateCall, Report, Revoked
from deployments.store.catalogue_follower import StoreFollower

REPORT_WAIT_S = 60.0
REPORT_POLL_S = 0.1
KEEPER_WAIT_S = 60.0
"""Longest wait, in seconds, for the keeper of objects, which may just be restarting."""


class HandleReplicas:
    """The model replicas, through their deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle.options(
            method_name="generate", stream=True, request_serialization=PLAIN, response_serialization=PLAIN
        )

    async def generate(self, call: GenerateCall) -> Batches:
        """The pieces of each engine step; closing this cancels the call, which aborts it in the engine."""
        response: Any = begin_call(self._handle, call)
        try:
            async for pieces in response:
                yield pieces
        finally:
            response.cancel()


class HandleTokenizer:
    """The tokenizer of the model replicas, through their deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle.options(request_serialization=PLAIN, response_serialization=PLAIN)

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a prompt."""
        tokenized: Tokenized = await ask(self._handle.tokenize, call)
        return tokenized

    async def count(self, call: CountCall) -> Counted:
        """The sizes of a conversation's parts."""
        counted: Counted = await ask(self._handle.count, call)
        return counted

    async def detokenize(self, call: DetokenizeCall) -> str:
        """The text of token ids."""
        text: str = await ask(self._handle.detokenize, call)
        return text


class HandleStore:
    """The adapter store, through its actor handle. Ray's errors become the project's."""

    def __init__(self, follower: StoreFollower, settings: Settings, scaled_to_zero: ScaledToZero) -> None:
        self._follower = follower
        self._settings = settings
        self._scaled_to_zero = scaled_to_zero
        self._base_id: str | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The newest catalogue seen here."""
        return self._follower.catalogue

    async def refresh(self) -> Catalogue:
        """The catalogue as the store has it now; the last one seen while the store is down."""
        try:
            return await self._follower.refresh()
        except RayError:
            return self._follower.catalogue

    async def base_id(self) -> str:
        """The base model's id. It never changes while this ingress lives.

        A new ingress may have come up while the last model replica was just being replaced, so this waits for a report.
        """
        deadline = time.monotonic() + REPORT_WAIT_S
        while self._base_id is None:
            _, reports = await self.overview()
            if reports:
                self._base_id = reports[0].base_id
            elif await self.is_asleep():
                self._base_id = public_id(self._settings.base.model)
            elif time.monotonic() > deadline:
                raise NotReady("no model replica is ready yet; see GET /health")
            else:
                await asyncio.sleep(REPORT_POLL_S)
        return self._base_id

    async def is_asleep(self) -> bool:
        """Whether there may be no replica now, because the first request makes one."""
        return self._settings.replicas.fewest == 0 and await self._scaled_to_zero.is_asleep()

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the reports of live replicas."""
        catalogue, reports = await self._ask("overview")
        return catalogue, await living(reports)

    async def about(self, bundle: BundleDigest) -> dict[str, Any]:
        """A bundle's own description (`about_package`)."""
        about: dict[str, Any] = await self._ask("about", bundle)
        return about

    async def load_adapter(self, wanted: LoadCall) -> Entry:
        """Load an adapter on every replica."""
        entry: Entry = await self._ask("load_adapter", wanted)
        return entry

    async def unload_adapter(self, name: str, allow_downgrade: bool, tenant: str) -> list[Entry]:
        """Unload a tenant's adapter, or a public one (the empty tenant), from every replica."""
        gone: list[Entry] = await self._ask("unload_adapter", name, allow_downgrade, tenant)
        return gone

    async def publish_adapter(
        self, files: Mapping[str, bytes], allow_downgrade: bool, audience: Audience
    ) -> tuple[Entry, bool]:
        """Publish the adapter in these files to every replica; also returns whether it is new."""
        published: tuple[Entry, bool] = await self._ask("publish_adapter", files, allow_downgrade, audience)
        return published

    async def share_adapter(self, name: str, audience: Audience) -> list[Entry]:
        """Have a tenant's adapter seen by this audience alone."""
        changed: list[Entry] = await self._ask("share_adapter", name, audience)
        return changed

    async def revoke(self, files: SignedList) -> Revoked:
        """Put a signed revocation list in force on every replica."""
        revoked: Revoked = await self._ask("revoke", files)
        return revoked

    async def revocation_list(self) -> SignedList | None:
        """The revocation list in force; None where none was ever published."""
        files: SignedList | None = await self._ask("watch_revocations", -1, 0.0)
        return files

    async def _ask(self, method: str, *args: Any) -> Any:
        # Not retried by Ray: a load that the store's death cut off is reported, and the client decides.
        remote = getattr(self._follower.store, method).options(max_task_retries=0)
        try:
            return await remote.remote(*args)
        except RayError as error:
            shown = as_core_error(error)
            if isinstance(shown, NotReady):
                shown = NotReady("the adapter store restarts; send the request again in a moment", code="store_lost")
            raise shown from None


class HandleObjects:
    """The store of tenants' objects, through the handle of the deployment that keeps it. Ray's errors become ours."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle.options(
            method_name="ask_objects", request_serialization=PLAIN, response_serialization=PLAIN
        )

    async def put_object(
        self, key: ObjectKey, document: bytes, ttl_s: float | None = None, gives_way: bool = False
    ) -> StoredObject:
        """Keep a document, in the place of the one that has its key."""
        stored: StoredObject = await self._ask("put_object", key, document, ttl_s, gives_way)
        return stored

    async def get_object(self, key: ObjectKey) -> StoredObject:
        """The object."""
        stored: StoredObject = await self._ask("get_object", key)
        return stored

    async def replace_object(
        self, key: ObjectKey, document: bytes, seen: str, ttl_s: float | None = None
    ) -> StoredObject:
        """Keep a document in the place of the one whose digest is ``seen``."""
        stored: StoredObject = await self._ask("replace_object", key, document, seen, ttl_s)
        return stored

    async def delete_object(self, key: ObjectKey) -> None:
        """Delete the object."""
        await self._ask("delete_object", key)

    async def list_objects(
        self, tenant: str, kind: Kind, after: str | None = None, limit: int = 100, newest_first: bool = True
    ) -> ObjectPage:
        """The tenant's objects of a kind, those behind the id ``after``."""
        page: ObjectPage = await self._ask("list_objects", tenant, kind, after, limit, newest_first)
        return page

    async def begin_upload(self, tenant: str) -> str:
        """The id of a new upload."""
        upload_id: str = await self._ask("begin_upload", tenant)
        return upload_id

    async def add_to_upload(self, upload_id: str, data: bytes) -> None:
        """Add bytes to an upload."""
        await self._ask("add_to_upload", upload_id, data)

    async def finish_upload(
        self, upload_id: str, key: ObjectKey, document: bytes, ttl_s: float | None = None
    ) -> StoredObject:
        """Make the uploaded bytes the contents of a new object."""
        stored: StoredObject = await self._ask("finish_upload", upload_id, key, document, ttl_s)
        return stored

    async def drop_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        await self._ask("drop_upload", upload_id)

    async def read_contents(self, key: ObjectKey, offset: int, length: int) -> bytes:
        """Some of an object's contents, empty behind their end."""
        data: bytes = await self._ask("read_contents", key, offset, length)
        return data

    async def _ask(self, method: str, *args: Any) -> Any:
        return await _kept(self._handle, method, args)


class HandleBatches:
    """The batches, through the same deployment."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle.options(
            method_name="ask_batches", request_serialization=PLAIN, response_serialization=PLAIN
        )

    async def create_batch(self, tenant: str, asked: BatchAsked) -> BatchRecord:
        """A new batch."""
        batch: BatchRecord = await _kept(self._handle, "create_batch", (tenant, asked))
        return batch

    async def get_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """The batch, as far as it is now."""
        batch: BatchRecord = await _kept(self._handle, "get_batch", (tenant, batch_id))
        return batch

    async def list_batches(self, tenant: str, after: str | None, limit: int) -> BatchPage:
        """The tenant's batches, the newest first, those behind the id ``after``."""
        page: BatchPage = await _kept(self._handle, "list_batches", (tenant, after, limit))
        return page

    async def cancel_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """Ask for its end."""
        batch: BatchRecord = await _kept(self._handle, "cancel_batch", (tenant, batch_id))
        return batch

    async def lines_written(self) -> dict[str, int]:
        """How many lines got their answer since the process that works on them began, by outcome."""
        written: dict[str, int] = await _kept(self._handle, "lines_written", ())
        return written


async def _kept(handle: Any, method: str, args: tuple[Any, ...]) -> Any:
    """The answer of the keeper of objects and batches. Raises the project's errors."""
    lost = NotReady("the store of objects restarts; send the request again in a moment", code="store_lost")
    try:
        async with asyncio.timeout(KEEPER_WAIT_S):  # a handle waits for as long as there is no replica
            return await ask(handle, method, args)
    except TimeoutError:
        raise lost from None
    except RAY_ERRORS as error:
        shown = as_core_error(error)
        is_lost = isinstance(shown, NotReady) and shown.code != "store_lost"
        raise (lost if is_lost else shown) from None
