"""``/health``, ``/ping``, ``/version`` and ``/metrics``: for load balancers and monitoring."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from adaptrix_core import __version__
from adaptrix_core.errors import AdaptrixError
from deployments.http.description.endpoints import HEALTH, METRICS, PING, VERSION
from deployments.http.endpoint import authorized, overview
from deployments.http.listings import readiness
from deployments.http.observe.metrics import CONTENT_TYPE
from deployments.http.services import Services

BATCHES_WAIT_S = 1.0
"""Longest wait, in seconds, of a scrape for the counts of batches."""


def status_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    @app.get("/health", **HEALTH)
    async def health(request: Request) -> Response:
        missing = [] if "live" in request.query_params else await readiness(services)
        if missing:
            return JSONResponse({"status": "starting", "missing": missing}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/ping", **PING)
    async def ping() -> Response:
        return PlainTextResponse("", 503 if await readiness(services) else 200)

    @app.get("/version", **VERSION)
    async def version() -> Response:
        return JSONResponse({"version": __version__})

    @app.get("/metrics", **METRICS)
    async def metrics(request: Request) -> Response:
        authorized(request, services, "operate")
        catalogue, reports = await overview(services)
        lines = await _batch_lines(services)
        return Response(services.metrics.render(catalogue, reports, lines), media_type=CONTENT_TYPE)


async def _batch_lines(services: Services) -> dict[str, int]:
    """Lines of batches by outcome; none while whoever works on them does not answer: a scrape must not wait."""
    try:
        async with asyncio.timeout(BATCHES_WAIT_S):
            return await services.batches.lines_written()
    except (TimeoutError, AdaptrixError):
        return {}
