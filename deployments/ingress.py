"""The ingress deployment: the HTTP API of `api.py`, with Ray handles behind it.

Streams come straight from the replica that computes them. Knows handles and their failures; no endpoint lives here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from adaptrix_core.adapters.revocation import SignedList
from adaptrix_core.config import Settings
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import carrier, start_tracing
from deployments.api import build_api
from deployments.catalogue import Catalogue
from deployments.errors import NotReady, as_core_error
from deployments.follow import StoreFollower
from deployments.generation import Batches
from deployments.metrics import Metrics
from deployments.principals import KeyRing
from deployments.second_choice import SecondChoice
from deployments.services import Services
from deployments.store_handle import namespace_of
from deployments.wire import Entry, GenerateCall, Report, Revoked, RouteAnswer


class HandleReplicas:
    """The model replicas, through their deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle.options(method_name="generate", stream=True)

    async def generate(self, call: GenerateCall) -> Batches:
        """What each engine step produced; closing this cancels the call, which aborts it in the engine."""
        response: Any = self._handle.remote(call)
        try:
            async for pieces in response:
                yield pieces
        finally:
            response.cancel()


class HandleRouter:
    """The router, through its deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle

    async def route(self, messages: Sequence[dict[str, str]]) -> RouteAnswer:
        """Who should answer these messages."""
        answer: RouteAnswer = await self._handle.route.remote(list(messages), carrier())
        return answer

    async def embed(self, texts: Sequence[str], dimensions: int | None) -> tuple[list[list[float]], int]:
        """One vector per text, and how many tokens were read. Raises InvalidRequest for other ``dimensions``."""
        embedded: tuple[list[list[float]], int] = await self._handle.embed.remote(list(texts), dimensions)
        return embedded


class HandleStore:
    """The adapter store, through its actor handle. Ray's errors become the project's."""

    def __init__(self, follower: StoreFollower) -> None:
        self._follower = follower
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
        """The base model's id. It never changes while this ingress lives."""
        if self._base_id is None:
            _, reports = await self.overview()
            if not reports:
                raise NotReady("no model replica is ready yet; see GET /health")
            self._base_id = reports[0].base_id
        return self._base_id

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the reports of live replicas."""
        overview: tuple[Catalogue, list[Report]] = await self._ask("overview")
        return overview

    async def load(self, name: str, path: str) -> Entry:
        """Load an adapter on every replica."""
        entry: Entry = await self._ask("load", name, path)
        return entry

    async def unload(self, name: str) -> list[Entry]:
        """Unload an adapter from every replica."""
        gone: list[Entry] = await self._ask("unload", name)
        return gone

    async def publish(self, files: Mapping[str, bytes]) -> tuple[Entry, bool]:
        """Make the adapter in these files known to every replica; whether it is new."""
        published: tuple[Entry, bool] = await self._ask("publish", files)
        return published

    async def revoke(self, files: SignedList) -> Revoked:
        """Put a signed revocation list in force on every replica."""
        revoked: Revoked = await self._ask("revoke", files)
        return revoked

    async def revocation_list(self) -> SignedList | None:
        """The revocation list in force; None where none was ever published."""
        files: SignedList | None = await self._ask("watch_revocations", -1, 0.0)
        return files

    async def _ask(self, method: str, *args: Any) -> Any:
        # Not repeated by Ray: a load that the store's death cut off is reported, and the client decides.
        remote = getattr(self._follower.store, method).options(max_task_retries=0)
        try:
            return await remote.remote(*args)
        except RayError as error:
            shown = as_core_error(error)
            if isinstance(shown, NotReady):
                shown = NotReady("the adapter store restarts; send the request again in a moment", code="store_lost")
            raise shown from None


@serve.ingress()
class Ingress:
    """One HTTP front; several may run side by side."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, model: DeploymentHandle, router: DeploymentHandle | None = None
    ) -> None:
        context = serve.get_replica_context()
        app_name = context.app_name
        start_logging(settings.observe)
        self._follower = StoreFollower(settings.adapters, namespace_of(app_name))
        self._services = Services(
            settings=settings,
            keys=KeyRing.read(settings.security.api_keys_file),
            replicas=SecondChoice(HandleReplicas(model)),
            router=HandleRouter(router) if router is not None else None,
            store=HandleStore(self._follower),
            metrics=Metrics(settings.observe.metrics_adapters),
            tracing=start_tracing(settings.observe, "ingress", context.replica_id.unique_id),
        )
        await self._follower.start()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return build_api(self._services)
