"""The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it.

Streams come straight from the replica that computes them. Knows handles and their failures; no endpoint lives here.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve import context as serve_context
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.config import Settings
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import carrier, start_tracing
from deployments.generation.ask_another import SecondChoice
from deployments.generation.continue_elsewhere import ContinuedReplicas
from deployments.generation.generation import Batches
from deployments.generation.model_names import public_id
from deployments.http.app import build_api
from deployments.http.observe.metrics import Metrics
from deployments.http.services import Services
from deployments.ingress.announcement import announce
from deployments.ingress.scaled_to_zero import Sleeper
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import NotReady, as_core_error
from deployments.shared.gc_tuning import spare_what_is_loaded
from deployments.shared.living_replicas import living
from deployments.shared.loopback import keep_to_loopback
from deployments.shared.principals import KeyRing
from deployments.shared.wire import Entry, GenerateCall, Report, Revoked, RouteAnswer
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.handle import namespace_of

REPORT_WAIT_S = 60.0
REPORT_POLL_S = 0.1
PLAIN = "pickle"
"""What calls and pieces are written with: Ray's own pickler, for code and closures, takes twice the time for each."""


class HandleReplicas:
    """The model replicas, through their deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle.options(
            method_name="generate", stream=True, request_serialization=PLAIN, response_serialization=PLAIN
        )

    async def generate(self, call: GenerateCall) -> Batches:
        """What each engine step produced; closing this cancels the call, which aborts it in the engine."""
        response: Any = _apart(self._handle.remote, call)
        try:
            async for pieces in response:
                yield pieces
        finally:
            response.cancel()


class HandleRouter:
    """The router, through its deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle.options(request_serialization=PLAIN, response_serialization=PLAIN)

    async def route(self, messages: Sequence[dict[str, str]], salt: bytes = b"") -> RouteAnswer:
        """Who should answer these messages."""
        answer: RouteAnswer = await self._handle.route.remote(list(messages), salt, carrier())
        return answer

    async def embed(
        self, texts: Sequence[str], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        """One vector per text, and how many tokens were read. Raises InvalidRequest for other ``dimensions``."""
        embedded: tuple[list[list[float]], int] = await self._handle.embed.remote(list(texts), dimensions, salt)
        return embedded


class HandleStore:
    """The adapter store, through its actor handle. Ray's errors become the project's."""

    def __init__(self, follower: StoreFollower, settings: Settings, sleeper: Sleeper) -> None:
        self._follower = follower
        self._settings = settings
        self._sleeper = sleeper
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
        return self._settings.replicas.fewest == 0 and await self._sleeper.is_asleep()

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the reports of live replicas."""
        catalogue, reports = await self._ask("overview")
        return catalogue, await living(reports)

    async def about(self, bundle: str) -> dict[str, Any]:
        """What a bundle says about itself."""
        about: dict[str, Any] = await self._ask("about", bundle)
        return about

    async def load(self, name: str, path: str, allow_downgrade: bool) -> Entry:
        """Load an adapter on every replica."""
        entry: Entry = await self._ask("load", name, path, allow_downgrade)
        return entry

    async def unload(self, name: str, allow_downgrade: bool) -> list[Entry]:
        """Unload an adapter from every replica."""
        gone: list[Entry] = await self._ask("unload", name, allow_downgrade)
        return gone

    async def publish(self, files: Mapping[str, bytes], allow_downgrade: bool) -> tuple[Entry, bool]:
        """Make the adapter in these files known to every replica; whether it is new."""
        published: tuple[Entry, bool] = await self._ask("publish", files, allow_downgrade)
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


def _apart(remote: Callable[[GenerateCall], Any], call: GenerateCall) -> Any:
    """``remote(call)`` under an id of its own in Serve's router, which then tells it from the other calls made for the
    same HTTP request (one per prompt): a request router is given each request by this id, and of equal ones only the
    first. Serve makes a new id where the context has none.
    """

    def run() -> Any:
        context = serve_context._get_serve_request_context()
        serve_context._serve_request_context.set(replace(context, _internal_request_id=""))
        return remote(call)

    return contextvars.copy_context().run(run)


@serve.ingress()
class Ingress:
    """One HTTP front; several may run side by side."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        settings: Settings,
        model: DeploymentHandle,
        router: DeploymentHandle | None = None,
        url: str | None = None,
    ) -> None:
        """url: where clients find the service, to be said once it is ready."""
        context = serve.get_replica_context()
        app_name = context.app_name
        keep_to_loopback()
        start_logging(settings.observe)
        self._follower = StoreFollower(settings.adapters, namespace_of(app_name))
        metrics = Metrics(settings.observe.metrics_adapters)
        self._services = Services(
            settings=settings,
            keys=KeyRing.read(settings.security.api_keys_file),
            replicas=ContinuedReplicas(SecondChoice(HandleReplicas(model)), metrics.continuations.inc),
            router=HandleRouter(router) if router is not None else None,
            store=HandleStore(self._follower, settings, Sleeper(app_name, model.deployment_name)),
            metrics=metrics,
            tracing=start_tracing(settings.observe, "ingress", context.replica_id.unique_id),
        )
        await self._follower.start()
        self._announcing = asyncio.create_task(announce(self._services, url)) if url is not None else None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        app = build_api(self._services)
        spare_what_is_loaded()
        return app
