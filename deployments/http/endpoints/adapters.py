"""``/v1/adapters``, ``/v1/models`` and ``/v1/confidence``: list and publish adapters, and what is calibrated."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from deployments.generation.model_names import one_mix
from deployments.http import adapter_admin
from deployments.http.at_hand import calibrations_at_hand
from deployments.http.bodies import read_body
from deployments.http.description.adapter_endpoints import (
    ADAPTER,
    ADAPTERS,
    CONFIDENCE,
    MODEL,
    MODELS,
    PUBLISH,
)
from deployments.http.endpoint import authorized, overview
from deployments.http.listings import ModelCards, adapter_entry, adapter_list
from deployments.http.services import Services


def adapter_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    @app.post("/v1/adapters", **PUBLISH)
    async def publish(request: Request) -> Response:
        authorized(request, services, "publish")
        limit = services.settings.security.max_upload_bytes
        allow_downgrade = adapter_admin.flag(request.query_params, "allow_downgrade")
        archive = await read_body(request, limit, "security.max_upload_bytes")
        entry, new = await adapter_admin.publish(services, archive, allow_downgrade)
        document = {
            "object": "adaptrix.adapter",
            "name": entry.name,
            "version": entry.version,
            "digest": entry.package_digest,
        }
        return JSONResponse(document, status_code=201 if new else 200)

    @app.get("/v1/adapters", **ADAPTERS)
    async def adapters(request: Request) -> Response:
        authorized(request, services, "read")
        return JSONResponse(adapter_list(*await services.store.overview()))

    @app.get("/v1/adapters/{name:path}", **ADAPTER)
    async def adapter(request: Request, name: str) -> Response:
        authorized(request, services, "read")
        catalogue, reports = await services.store.overview()
        # A withheld adapter is shown too, with the reason.
        entry = catalogue.find(name) or next(iter(catalogue.called(name)), None)
        if entry is None:
            raise catalogue.not_found(name, param="name")
        about = await services.store.about(entry.bundle_digest)
        calibrations = (await calibrations_at_hand(services)).described(entry.package_digest)
        return JSONResponse({**adapter_entry(entry, reports), **about, "calibrations": calibrations})

    @app.get("/v1/confidence/{model:path}", **CONFIDENCE)
    async def confidence(request: Request, model: str) -> Response:
        authorized(request, services, "read")
        catalogue, _ = await services.store.overview()
        mix = one_mix(model, await services.store.base_id(), catalogue)
        shelf = await calibrations_at_hand(services)
        return JSONResponse(
            {
                "object": "adaptrix.confidence",
                "name": mix.label,
                "parts": [
                    {"name": term.adapter.identity, "package_digest": term.adapter.package_digest} for term in mix.terms
                ],
                "calibrations": shelf.described(mix.answerer),
            }
        )

    @app.get("/v1/models/{model_id:path}", **MODEL)
    async def model(request: Request, model_id: str) -> Response:
        authorized(request, services, "read")
        return JSONResponse((await _model_cards(services)).one(model_id))

    @app.get("/v1/models", **MODELS)
    async def models(request: Request) -> Response:
        authorized(request, services, "read")
        return JSONResponse((await _model_cards(services)).all())


async def _model_cards(services: Services) -> ModelCards:
    base_id = await services.store.base_id()
    catalogue, reports = await overview(services)
    return ModelCards(catalogue, base_id, services.router is not None, reports)
