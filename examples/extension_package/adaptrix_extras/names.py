"""A group of HTTP endpoints: the names of all adapters that the caller sees, as plain text."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from deployments.http.endpoint import authorized
from deployments.http.services import Services


def name_endpoints(app: FastAPI, services: Services) -> None:
    """Add ``GET /v1/names``."""

    @app.get("/v1/names", summary="The names of all adapters, a line each")
    async def names(request: Request) -> PlainTextResponse:
        principal = authorized(request, services, "generate")
        seen = principal.sees(await services.store.refresh())  # nobody is told of what other tenants keep to themselves
        return PlainTextResponse("\n".join(sorted(entry.public_name for entry in seen.newest())))
