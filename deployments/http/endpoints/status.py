"""``/health``, ``/ping``, ``/version`` and ``/metrics``: for load balancers and monitoring."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from adaptrix_core import __version__
from deployments.http.description.endpoints import HEALTH, METRICS, PING, VERSION
from deployments.http.endpoint import overview
from deployments.http.listings import readiness
from deployments.http.observe.metrics import CONTENT_TYPE
from deployments.http.services import Services


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
        services.keys.identify(request.headers.get("authorization"))
        catalogue, reports = await overview(services)
        return Response(services.metrics.render(catalogue, reports), media_type=CONTENT_TYPE)
