"""The services behind the HTTP endpoints: pipeline, tokenizer, router, stores, key ring, metrics.

The remote ones are protocols, which are all that the endpoints know of the cluster; `ingress/handles.py` implements
them by Ray's handles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.config import Settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.observe.tracing import Tracing
from adaptrix_core.observe.tracker.live_view import LiveFigures
from adaptrix_core.observe.tracker.outbox import Outbox
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion
from adaptrix_core.routing.feedback.answers import AnswerLabelTaken
from adaptrix_core.routing.feedback.labels import LabelTaken
from adaptrix_core.routing.signals.learnt_messages import LearntMessage
from deployments.audit.trail import AuditTrail
from deployments.callers.key_ring import KeyRing
from deployments.callers.running_requests import RunningRequests
from deployments.generation.pipeline import Pipeline
from deployments.generation.ports import Router, Tokenizer
from deployments.http.observe.metrics import Metrics
from deployments.objects.batch import BatchAsked, BatchPage, BatchRecord
from deployments.objects.records import Kind, ObjectKey, ObjectPage, StoredObject
from deployments.responses.stored import ObjectStore
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Audience, Entry, LoadCall
from deployments.shared.wire import Report, Revoked


class Embedder(Router, Protocol):
    """The router deployment: decides, learns from labels, and embeds texts with its embedding model."""

    async def feedback(
        self, messages: Sequence[dict[str, str]], right: str | None, salt: bytes = b"", learn: bool = False
    ) -> LabelTaken:
        """Note which adapter should answer these messages; None is the base model. learn: keep the text, too.

        Raises InvalidRequest for an adapter that the router doesn't know and for a text past what is kept, Overloaded.
        """

    async def label_answer(self, label: AnswerLabel, salt: bytes = b"") -> AnswerLabelTaken:
        """Note whether an answer was right. Raises Overloaded."""

    async def confidence_moved(self, salt: bytes = b"") -> Mapping[str, float]:
        """By who answers, how far the tenant's thresholds of confidence are moved (`confidence/feedback.py`)."""

    async def learnt(self) -> tuple[LearntMessage, ...]:
        """The messages that were learnt with their text, in the order of learning."""

    async def forget(self, message_id: str) -> LearntMessage | None:
        """Forget a learnt message; what was forgotten, None where there is none of this id."""

    async def embed(
        self, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        """One vector for each text, or for each list of token ids, and how many tokens were read.

        Raises InvalidRequest for other ``dimensions`` and for token ids that the model cannot read.
        """


class Store(Protocol):
    """The adapter store. Methods raise the project's errors."""

    @property
    def catalogue(self) -> Catalogue:
        """The newest catalogue seen here."""

    async def refresh(self) -> Catalogue:
        """The catalogue as the store has it now."""

    async def base_id(self) -> str:
        """The base model's id, as replicas report it. Raises NotReady before the first has."""

    async def is_asleep(self) -> bool:
        """Whether there may be no replica now, because the first request makes one."""

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the reports of live replicas."""

    async def about(self, bundle: BundleDigest) -> dict[str, Any]:
        """A bundle's own description (`about_package`)."""

    async def load_adapter(self, wanted: LoadCall) -> Entry:
        """Load an adapter on every replica."""

    async def unload_adapter(self, name: str, allow_downgrade: bool, tenant: str) -> list[Entry]:
        """Unload a tenant's adapter, or a public one (the empty tenant), from every replica."""

    async def publish_adapter(
        self, files: Mapping[str, bytes], allow_downgrade: bool, audience: Audience
    ) -> tuple[Entry, bool]:
        """Publish the adapter in these files to every replica; also returns whether it is new."""

    async def share_adapter(self, name: str, audience: Audience) -> list[Entry]:
        """Have a tenant's adapter seen by this audience alone."""

    async def revoke(self, files: SignedList) -> Revoked:
        """Put a signed revocation list in force on every replica."""

    async def revocation_list(self) -> SignedList | None:
        """The revocation list in force; None where none was ever published."""


class Objects(ObjectStore, Protocol):
    """The store of tenants' objects (`objects/tenant_objects.py`, which says what each method does and raises).

    An object is found by tenant, kind and id together, so that another tenant's is answered like one that does not
    exist. Any method may raise StorageFailed, and NotReady while the store restarts.
    """

    async def list_objects(
        self, tenant: str, kind: Kind, after: str | None = None, limit: int = 100, newest_first: bool = True
    ) -> ObjectPage:
        """The tenant's objects of a kind, those behind the id ``after``."""

    async def begin_upload(self, tenant: str) -> str:
        """The id of a new upload."""

    async def add_to_upload(self, upload_id: str, data: bytes) -> None:
        """Add bytes to an upload."""

    async def finish_upload(
        self, upload_id: str, key: ObjectKey, document: bytes, ttl_s: float | None = None
    ) -> StoredObject:
        """Make the uploaded bytes the contents of a new object."""

    async def drop_upload(self, upload_id: str) -> None:
        """Forget an upload."""

    async def read_contents(self, key: ObjectKey, offset: int, length: int) -> bytes:
        """Some of an object's contents, empty behind their end."""


class Batches(Protocol):
    """The batches of tenants (`objects/batch_ledger.py`). Any method may raise what `Objects` may."""

    async def create_batch(self, tenant: str, asked: BatchAsked) -> BatchRecord:
        """A new batch. Raises ObjectNotFound for an unknown file, InvalidRequest, Overloaded, QuotaFull."""

    async def get_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """The batch, as far as it is now. Raises ObjectNotFound."""

    async def list_batches(self, tenant: str, after: str | None, limit: int) -> BatchPage:
        """The tenant's batches, the newest first, those behind the id ``after``. Raises ObjectNotFound."""

    async def cancel_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """Ask for its end. Raises ObjectNotFound, and Conflict once it is over."""

    async def lines_written(self) -> dict[str, int]:
        """How many lines got their answer since the process that works on them began, by outcome."""


class UsageFigures(Protocol):
    """The tracker (`tracking/tracker.py`). Methods may raise NotReady, TrackerUnusable and StorageFailed."""

    async def ask(self, question: UsageQuestion) -> UsageAnswer:
        """Figures of requests. Raises InvalidRequest for an answer of too many rows."""

    async def live(self, tenant: str | None = None) -> list[LiveFigures]:
        """The last minute by adapter. tenant: only its requests; None: everybody's."""


@dataclass
class Services:
    """Everything an endpoint may use."""

    settings: Settings
    keys: KeyRing
    pipeline: Pipeline
    """The way to the model replicas."""
    tokenizer: Tokenizer
    router: Embedder | None
    """None where the router is switched off."""
    store: Store
    objects: Objects
    batches: Batches
    metrics: Metrics
    tracing: Tracing
    audit: AuditTrail = field(default_factory=AuditTrail)
    """Leads nowhere where no audit log is kept."""
    running: RunningRequests = field(default_factory=RunningRequests)
    """Of this process, by key."""
    outbox: Outbox | None = None
    """Where requests that have ended are left for the tracker; None, like ``usage``, where it is switched off."""
    usage: UsageFigures | None = None
    calibrations: CalibrationShelf = field(init=False)
    conflicts: ConflictGuard = field(init=False)

    def __post_init__(self) -> None:
        self.calibrations = CalibrationShelf.of(self.settings)
        self.conflicts = ConflictGuard.of(self.settings)
