"""``/v1/adapters``, ``/v1/models`` and ``/v1/confidence``: list and publish adapters, and what is calibrated."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from deployments.callers.principal import Principal
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
    SHARE,
)
from deployments.http.endpoint import authorized, body_of, overview
from deployments.http.listings import ModelCards, adapter_entry, adapter_list
from deployments.http.observe.audited import administered
from deployments.http.services import Services
from deployments.openai.vllm.adapter_bodies import ShareRequest


def adapter_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    @app.post("/v1/adapters", **PUBLISH)
    async def publish(request: Request) -> Response:
        principal = authorized(request, services, "publish")
        limit = services.settings.security.max_upload_bytes
        allow_downgrade = adapter_admin.flag(request.query_params, "allow_downgrade")
        audience = adapter_admin.audience_in(request.query_params, principal)
        archive = await read_body(request, limit, "security.max_upload_bytes")
        files, wanted = await adapter_admin.unpacked(services, archive)
        act = administered(request, services.audit, "adapter.publish", wanted.identity, wanted.package_digest)
        async with act:
            entry, new = await adapter_admin.publish(services, files, allow_downgrade, audience)
        document = {
            "object": "adaptrix.adapter",
            "name": entry.name,
            "version": entry.version,
            "digest": entry.package_digest,
        }
        return JSONResponse(document, status_code=201 if new else 200)

    @app.get("/v1/adapters", **ADAPTERS)
    async def adapters(request: Request) -> Response:
        principal = authorized(request, services, "read")
        catalogue, reports = await services.store.overview()
        return JSONResponse(adapter_list(principal.oversees(catalogue), reports))

    @app.get("/v1/adapters/{name:path}", **ADAPTER)
    async def adapter(request: Request, name: str) -> Response:
        principal = authorized(request, services, "read")
        catalogue, reports = await services.store.overview()
        view = principal.oversees(catalogue)
        # A withheld adapter is shown too, with the reason.
        entry = view.find(name) or next(iter(view.called(name)), None)
        if entry is None:
            raise view.not_found(name, param="name")
        about = await services.store.about(entry.bundle_digest)
        calibrations = (await calibrations_at_hand(services)).described(entry.package_digest)
        return JSONResponse({**adapter_entry(entry, reports), **about, "calibrations": calibrations})

    @app.patch("/v1/adapters/{name:path}", **SHARE)
    async def share(request: Request, name: str) -> Response:
        principal = authorized(request, services, "publish")
        body: ShareRequest = await body_of(request, services, ShareRequest)
        async with administered(request, services.audit, "adapter.share", name):
            changed = await adapter_admin.share(services, principal, name, body)
        _, reports = await overview(services)
        return JSONResponse({"object": "list", "data": [adapter_entry(entry, reports) for entry in changed]})

    @app.get("/v1/confidence/{model:path}", **CONFIDENCE)
    async def confidence(request: Request, model: str) -> Response:
        principal = authorized(request, services, "read")
        catalogue, _ = await services.store.overview()
        mix = one_mix(model, await services.store.base_id(), principal.oversees(catalogue))
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
        principal = authorized(request, services, "read")
        return JSONResponse((await _model_cards(services, principal)).one(model_id))

    @app.get("/v1/models", **MODELS)
    async def models(request: Request) -> Response:
        principal = authorized(request, services, "read")
        return JSONResponse((await _model_cards(services, principal)).all())


async def _model_cards(services: Services, principal: Principal) -> ModelCards:
    base_id = await services.store.base_id()
    catalogue, reports = await overview(services)
    return ModelCards(principal.sees(catalogue), base_id, services.router is not None, reports)
