"""``/v1/batches``: files of requests, answered in the server's own time. OpenAI's form; the work is `batches/`'s."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.http.description.endpoints import BATCH, BATCH_CANCEL, BATCH_CREATE, BATCHES
from deployments.http.endpoint import authorized, body_of
from deployments.http.endpoints.paging import page_asked, page_document
from deployments.http.services import Services
from deployments.objects.batch import BatchAsked, BatchRecord
from deployments.openai.batches.request import BatchRequest
from deployments.shared.errors import NotReady

PAGE = 20
"""Batches of a page where no number is asked for, as OpenAI has it."""
TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
"""Statuses whose times a batch tells."""


def batch_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""
    batches = services.batches

    @app.post("/v1/batches", **BATCH_CREATE)
    async def create(request: Request) -> Response:
        tenant = authorized(request, services, "generate").tenant
        body: BatchRequest = await body_of(request, services, BatchRequest)
        if body.endpoint == "/v1/embeddings" and services.router is None:
            raise NotReady("the router is switched off (setting router.enabled); switch it on", code="router_disabled")
        asked = BatchAsked(
            body.endpoint,
            body.input_file_id,
            body.completion_window,
            _output_ttl_s(body, services.settings.objects.files_ttl_s),
            body.metadata,
        )
        return JSONResponse(batch_document(await batches.create_batch(tenant, asked)))

    @app.get("/v1/batches", **BATCHES)
    async def listed(request: Request) -> Response:
        tenant = authorized(request, services, "generate").tenant
        page = page_asked(request.query_params, most=MOST.listed_batches, default=PAGE, has_order=False)
        found = await batches.list_batches(tenant, page.after, page.limit)
        return JSONResponse(page_document([batch_document(batch) for batch in found.batches], found.has_more))

    @app.get("/v1/batches/{batch_id}", **BATCH)
    async def one(request: Request, batch_id: str) -> Response:
        tenant = authorized(request, services, "generate").tenant
        return JSONResponse(batch_document(await batches.get_batch(tenant, batch_id)))

    @app.post("/v1/batches/{batch_id}/cancel", **BATCH_CANCEL)
    async def cancel(request: Request, batch_id: str) -> Response:
        tenant = authorized(request, services, "generate").tenant
        return JSONResponse(batch_document(await batches.cancel_batch(tenant, batch_id)))


def batch_document(batch: BatchRecord) -> dict[str, Any]:
    """OpenAI's document of a batch."""
    faults = [{"code": f.code, "message": f.message, "line": f.line, "param": None} for f in batch.faults]
    return {
        "id": batch.batch_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        **{f"{status}_at": batch.times.get(status) for status in TIMES},
        "request_counts": {
            "total": batch.counts.total,
            "completed": batch.counts.completed,
            "failed": batch.counts.failed,
        },
        "metadata": None if batch.metadata is None else dict(batch.metadata),
    }


def _output_ttl_s(body: BatchRequest, longest_s: float) -> float:
    if body.output_expires_after is None:
        return longest_s
    if (asked := body.output_expires_after.seconds) > longest_s:
        raise InvalidRequest(
            f"output_expires_after.seconds is {asked}; files are kept for at most {longest_s:.0f} s (setting "
            "objects.files_ttl_s)",
            param="output_expires_after",
        )
    return float(asked)
