"""``/v1/load_lora_adapter`` and its opposite, vLLM's; without the prefix they are SGLang's, and answer as its own."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from deployments.callers.principal import Principal
from deployments.http import adapter_admin
from deployments.http.description.adapter_endpoints import LOAD, SGLANG_LOAD, SGLANG_UNLOAD, UNLOAD
from deployments.http.endpoint import authorized, body_of
from deployments.http.listings import adapters_now
from deployments.http.observe.audited import administered
from deployments.http.services import Services
from deployments.openai.vllm.adapter_bodies import LoadRequest, UnloadRequest
from deployments.shared.entry import Entry


def loading_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def loaded(request: Request, principal: Principal) -> Entry:
        body: LoadRequest = await body_of(request, services, LoadRequest)
        async with administered(request, services.audit, "adapter.load", body.lora_name, path=body.lora_path) as act:
            entry = await adapter_admin.load(services, principal, body)
            act.package_digest = entry.package_digest
            act.details["loaded"] = f"{entry.signed_name or entry.name}@{entry.version}"
        return entry

    async def unloaded(request: Request, principal: Principal) -> str:
        """What happened, in words."""
        body: UnloadRequest = await body_of(request, services, UnloadRequest)
        async with administered(request, services.audit, "adapter.unload", body.lora_name) as act:
            gone = await adapter_admin.unload(services, principal, body)
            act.details["unloaded"] = ", ".join(f"{entry.identity} {entry.package_digest}" for entry in gone)
        return adapter_admin.unloaded_in_words(body.lora_name, gone)

    @app.post("/v1/load_lora_adapter", **LOAD)
    async def load(request: Request) -> Response:
        entry = await loaded(request, authorized(request, services, "publish"))
        return PlainTextResponse(f"Success: LoRA adapter '{entry.public_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter", **UNLOAD)
    async def unload(request: Request) -> Response:
        return PlainTextResponse(await unloaded(request, authorized(request, services, "publish")))

    @app.post("/load_lora_adapter", **SGLANG_LOAD)
    async def sglang_load(request: Request) -> Response:
        principal = authorized(request, services, "publish")
        await loaded(request, principal)
        return JSONResponse(adapters_now(principal.sees(services.store.catalogue)))

    @app.post("/unload_lora_adapter", **SGLANG_UNLOAD)
    async def sglang_unload(request: Request) -> Response:
        principal = authorized(request, services, "publish")
        await unloaded(request, principal)
        return JSONResponse(adapters_now(principal.sees(services.store.catalogue)))
