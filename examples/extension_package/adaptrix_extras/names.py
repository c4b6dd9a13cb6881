"""A group of HTTP endpoints: the names of all adapters, as plain text."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from deployments.http.endpoint import authorized
from deployments.http.services import Services


def name_endpoints(app: FastAPI, services: Services) -> None:
    """Add ``GET /v1/names``."""

    @app.get("/v1/names", summary="The names of all adapters, a line each")
    async def names(request: Request) -> PlainTextResponse:
        authorized(request, services, "generate")
        entries = (await services.store.refresh()).newest()
        return PlainTextResponse("\n".join(sorted(entry.name for entry in entries)))
