"""``/v1/keys``: a tenant's keys, made, listed, changed, rotated and deleted by who owns it."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from deployments.http.endpoint import authorized, body_of
from deployments.http.keys.description import KEY_CHANGE, KEY_DELETE, KEY_MAKE, KEY_ROTATE, KEYS
from deployments.http.keys.documents import KeyChange, KeyRequest, KeyRotation
from deployments.http.keys.tenant_keys import TenantKeys
from deployments.http.observe.audited import administered
from deployments.http.services import Services


def key_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    def keys_of(request: Request) -> TenantKeys:
        return TenantKeys(services, authorized(request, services, "keys"))

    # Before the shorter path, as an id may have slashes.
    @app.post("/v1/keys/{key_id:path}/rotate", **KEY_ROTATE)
    async def rotate(request: Request, key_id: str) -> Response:
        keys = keys_of(request)
        body: KeyRotation = await body_of(request, services, KeyRotation)
        async with administered(request, services.audit, "keys.rotate", key_id):
            card, key = await keys.rotate(key_id, body.overlap_s)
        return JSONResponse({**card, "key": key})

    @app.post("/v1/keys", **KEY_MAKE)
    async def make(request: Request) -> Response:
        keys = keys_of(request)
        body: KeyRequest = await body_of(request, services, KeyRequest)
        async with administered(request, services.audit, "keys.make", body.name):
            card, key = await keys.make(body.name, body.roles, body.expires)
        return JSONResponse({**card, "key": key}, status_code=201)

    @app.get("/v1/keys", **KEYS)
    async def all_of_them(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": await keys_of(request).all()})

    @app.patch("/v1/keys/{key_id:path}", **KEY_CHANGE)
    async def change(request: Request, key_id: str) -> Response:
        keys = keys_of(request)
        body: KeyChange = await body_of(request, services, KeyChange)
        async with administered(request, services.audit, "keys.change", key_id):
            card = await keys.change(key_id, **body.model_dump(exclude_none=True))
        return JSONResponse(card)

    @app.delete("/v1/keys/{key_id:path}", **KEY_DELETE)
    async def delete(request: Request, key_id: str) -> Response:
        keys = keys_of(request)
        async with administered(request, services.audit, "keys.delete", key_id):
            await keys.delete(key_id)
        return JSONResponse({"object": "adaptrix.key.deleted", "id": key_id, "deleted": True})
