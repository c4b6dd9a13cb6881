"""``/v1/load_lora_adapter`` and its opposite, vLLM's; without the prefix they are SGLang's, and answer as its own."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from deployments.http import adapter_admin
from deployments.http.description.adapter_endpoints import LOAD, SGLANG_LOAD, SGLANG_UNLOAD, UNLOAD
from deployments.http.endpoint import authorized, body_of
from deployments.http.listings import adapters_now
from deployments.http.services import Services
from deployments.openai.vllm.adapter_bodies import LoadRequest, UnloadRequest
from deployments.shared.wire import Entry


def loading_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def loaded(request: Request) -> Entry:
        authorized(request, services, "publish")
        body: LoadRequest = await body_of(request, services, LoadRequest)
        return await adapter_admin.load(services, body)

    async def unloaded(request: Request) -> str:
        """What happened, in words."""
        authorized(request, services, "publish")
        body: UnloadRequest = await body_of(request, services, UnloadRequest)
        gone = await adapter_admin.unload(services, body)
        return adapter_admin.unloaded_in_words(body.lora_name, gone)

    @app.post("/v1/load_lora_adapter", **LOAD)
    async def load(request: Request) -> Response:
        entry = await loaded(request)
        return PlainTextResponse(f"Success: LoRA adapter '{entry.public_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter", **UNLOAD)
    async def unload(request: Request) -> Response:
        return PlainTextResponse(await unloaded(request))

    @app.post("/load_lora_adapter", **SGLANG_LOAD)
    async def sglang_load(request: Request) -> Response:
        await loaded(request)
        return JSONResponse(adapters_now(services.store.catalogue))

    @app.post("/unload_lora_adapter", **SGLANG_UNLOAD)
    async def sglang_unload(request: Request) -> Response:
        await unloaded(request)
        return JSONResponse(adapters_now(services.store.catalogue))
