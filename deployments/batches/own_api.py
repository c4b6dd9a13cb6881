"""The HTTP API, asked inside the process: lines of batches go through the endpoints like any request, without a socket.

So every field works as it does over HTTP, and every refusal has the same document. The caller is the tenant that made
the batch: it is known here, so no key is sent and none is looked for.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace

import httpx

from deployments.callers.key_ring import KeyRing
from deployments.callers.principal import Principal
from deployments.callers.running_requests import RunningRequests
from deployments.generation.pipeline import Pipeline
from deployments.http.app import build_api
from deployments.http.services import Services
from deployments.shared.request_id import REQUEST_ID

_caller: ContextVar[Principal] = ContextVar("adaptrix_batch_caller")


@dataclass(frozen=True)
class ApiAnswer:
    """What an endpoint has answered."""

    status: int
    document: bytes
    retry_after_s: float | None
    """Where the answer says when to come again."""

    @property
    def is_good(self) -> bool:
        """Whether it is no error."""
        return 200 <= self.status < 300


class OwnApi:
    """The API for the lines of batches."""

    def __init__(self, services: Services, pipeline: Pipeline) -> None:
        """pipeline: the way to the model replicas, in place of the services' own."""
        app = build_api(replace(services, keys=_Callers(), pipeline=pipeline, running=RunningRequests()))
        # Whatever fails is answered with 500, as a server would.
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def ask(self, tenant: str, path: str, body: bytes, request_id: str) -> ApiAnswer:
        """The answer to a body that the tenant sends to an endpoint. Cancelling this aborts the request."""
        _caller.set(Principal("batch", tenant, frozenset({"generate"})))
        headers = {"content-type": "application/json", REQUEST_ID: request_id}
        answer = await self._client.post(path, content=body, headers=headers)
        wait = answer.headers.get("retry-after")
        return ApiAnswer(answer.status_code, answer.content, None if wait is None else float(wait))


class _Callers(KeyRing):
    """Knows the caller from the task that calls."""

    def __init__(self) -> None:
        super().__init__({})

    def identify(self, authorization: str | None) -> Principal:
        return _caller.get()
