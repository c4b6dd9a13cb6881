"""The HTTP API: OpenAI's endpoints, vLLM's adapter endpoints, and ours. Each endpoint only translates.

Knows paths, headers and statuses. Who answers is found in `generation/generation.py`; what is wrong with a request
is said by `bodies.py`, `generation/model_names.py` and the core.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from adaptrix_core.errors import AdapterNotFound, AdaptrixError, InvalidRequest
from deployments.generation.deadline import Deadline
from deployments.generation.generation import Batches, Resolved, Running, resolve, start
from deployments.generation.model_names import AUTO, public_id
from deployments.http import adapter_admin, sse
from deployments.http.bodies import read_body, read_document
from deployments.http.description.document import describing_endpoints
from deployments.http.description.endpoints import (
    ADAPTER,
    ADAPTERS,
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    HEALTH,
    LOAD,
    METRICS,
    MODEL,
    MODELS,
    PUBLISH,
    ROUTE,
    UNLOAD,
)
from deployments.http.endpoints.revocations import revocation_endpoints
from deployments.http.guard import WATCH, Guard
from deployments.http.listings import ModelCards, adapter_entry, adapter_list, readiness
from deployments.http.observe.metrics import CONTENT_TYPE
from deployments.http.observe.request_watch import RequestWatch
from deployments.http.services import Services
from deployments.http.sse import raise_if_broken, server_sent_events
from deployments.openai.documents import ChunkedAnswer, Usage, WholeAnswer
from deployments.openai.embedding_document import embedding_answer
from deployments.openai.schemas import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    LoadRequest,
    RouteRequest,
    UnloadRequest,
)
from deployments.shared.catalogue import Catalogue, shortened
from deployments.shared.errors import NotReady, error_response
from deployments.shared.principals import Principal, Scope
from deployments.shared.wire import Report

logger = logging.getLogger(__name__)


def build_api(services: Services) -> ASGIApp:
    """The application, over ``services``."""
    app = FastAPI(title="Adaptrix", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _handle_errors(app)
    _generation_endpoints(app, services)
    _router_endpoints(app, services)
    _adapter_endpoints(app, services)
    revocation_endpoints(app, services)
    _status_endpoints(app, services)
    describing_endpoints(app)
    return Guard(app, services.metrics, services.keys.enabled)


async def _authorized(request: Request, services: Services, scope: Scope) -> Principal:
    principal = services.keys.identify(request.headers.get("authorization"))
    principal.require(scope)
    return principal


async def _body(request: Request, services: Services, model: type[Any]) -> Any:
    return await read_document(request, services.settings.security, model)


def _generation_endpoints(app: FastAPI, services: Services) -> None:
    async def generate(request: Request, model: type[ChatRequest] | type[CompletionRequest]) -> Response:
        observe = services.settings.observe
        watch = RequestWatch(services.metrics, services.tracing, observe, request.url.path, request.headers)
        request.scope[WATCH] = watch  # closed by `Guard`, with the connection
        with watch.accepting():
            principal = await _authorized(request, services, "generate")
            deadline = Deadline.of(request.headers)
            async with deadline.limit():
                body: ChatRequest | CompletionRequest = await _body(request, services, model)
                watch.identified(principal, body)
                principal.require_priority(body.priority)
                base_id = await services.store.base_id()
                with watch.resolving():
                    resolved = await _resolved(body, base_id, services, principal)
                running = await start(body, resolved, principal, services.replicas, base_id, deadline)
        headers = running.resolved.headers()
        batches = watch.to_the_end(running)
        if not body.stream:
            return JSONResponse(await _whole(running, batches), headers=headers)
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        events = server_sent_events(
            batches, ChunkedAnswer(running.head, running.num_rows), running.rows_per_prompt, include_usage
        )
        return StreamingResponse(events, media_type=sse.MEDIA_TYPE, headers={**headers, **sse.HEADERS})

    @app.post("/v1/chat/completions", **CHAT)
    async def chat_completions(request: Request) -> Response:
        return await generate(request, ChatRequest)

    @app.post("/v1/completions", **COMPLETION)
    async def completions(request: Request) -> Response:
        return await generate(request, CompletionRequest)


async def _resolved(
    body: ChatRequest | CompletionRequest, base_id: str, services: Services, principal: Principal
) -> Resolved:
    """Who answers. A name unknown here may have been loaded elsewhere a moment ago, so the store is asked once."""
    try:
        return await resolve(body, base_id, services.store.catalogue, services.router, principal)
    except AdapterNotFound:
        return await resolve(body, base_id, await services.store.refresh(), services.router, principal)


async def _whole(running: Running, batches: Batches) -> dict[str, Any]:
    answer, usage = WholeAnswer(running.head, running.num_rows), Usage()
    async with aclosing(batches):
        async for pieces in batches:
            raise_if_broken(pieces)
            answer.add(pieces)
            usage.count(pieces, running.rows_per_prompt)
    return answer.document(usage)


def _router_endpoints(app: FastAPI, services: Services) -> None:
    def router() -> Any:
        if services.router is None:
            raise NotReady("the router is switched off (setting router.enabled); switch it on", code="router_disabled")
        return services.router

    @app.post("/v1/route", **ROUTE)
    async def route(request: Request) -> Response:
        principal = await _authorized(request, services, "generate")
        body: RouteRequest = await _body(request, services, RouteRequest)
        answer = await router().route([message.plain() for message in body.messages], principal.salt)
        return JSONResponse(
            {
                "object": "adaptrix.route",
                "adapter": "+".join(name for name, _ in answer.mix) or "base",
                "mix": dict(answer.mix),
                "scores": dict(answer.scores),
                "score": answer.score,
                "confidence": answer.confidence,
                "reason": answer.reason,
                "previous": answer.previous,
            }
        )

    @app.post("/v1/embeddings", **EMBEDDINGS)
    async def embeddings(request: Request) -> Response:
        principal = await _authorized(request, services, "generate")
        body: EmbeddingRequest = await _body(request, services, EmbeddingRequest)
        model = public_id(services.settings.router.embedder)
        if body.model not in (model, AUTO):
            raise InvalidRequest(
                f"embedding model {shortened(body.model)!r} does not exist; known: {model!r}", param="model"
            )
        vectors, tokens = await router().embed(body.texts(), body.dimensions, principal.salt)
        answer = await embedding_answer(model, vectors, tokens, body.encoding_format)
        return Response(answer, media_type="application/json")


def _adapter_endpoints(app: FastAPI, services: Services) -> None:
    async def load(request: Request) -> Response:
        await _authorized(request, services, "admin")
        body: LoadRequest = await _body(request, services, LoadRequest)
        entry = await adapter_admin.load(services, body)
        return PlainTextResponse(f"Success: LoRA adapter '{entry.name}' added successfully.")

    async def unload(request: Request) -> Response:
        await _authorized(request, services, "admin")
        body: UnloadRequest = await _body(request, services, UnloadRequest)
        gone = await adapter_admin.unload(services, body)
        return PlainTextResponse(adapter_admin.unloaded_in_words(body.lora_name, gone))

    @app.post("/v1/adapters", **PUBLISH)
    async def publish(request: Request) -> Response:
        await _authorized(request, services, "admin")
        limit = services.settings.security.max_upload_bytes
        allow_downgrade = adapter_admin.flag(request.query_params, "allow_downgrade")
        archive = await read_body(request, limit, "security.max_upload_bytes")
        entry, new = await adapter_admin.publish(services, archive, allow_downgrade)
        document = {"object": "adaptrix.adapter", "name": entry.name, "version": entry.version, "digest": entry.package}
        return JSONResponse(document, status_code=201 if new else 200)

    for prefix in ("/v1", ""):  # SGLang's clients leave the prefix out
        app.post(f"{prefix}/load_lora_adapter", **LOAD)(load)
        app.post(f"{prefix}/unload_lora_adapter", **UNLOAD)(unload)

    @app.get("/v1/adapters", **ADAPTERS)
    async def adapters(request: Request) -> Response:
        await _authorized(request, services, "generate")
        return JSONResponse(adapter_list(*await services.store.overview()))

    @app.get("/v1/adapters/{name}", **ADAPTER)
    async def adapter(request: Request, name: str) -> Response:
        await _authorized(request, services, "generate")
        catalogue, reports = await services.store.overview()
        # Who looks up an adapter that is withheld wants to know why.
        entry = catalogue.find(name) or next(iter(catalogue.called(name)), None)
        if entry is None:
            raise catalogue.not_found(name, param="name")
        return JSONResponse({**adapter_entry(entry, reports), **await services.store.about(entry.bundle)})

    @app.get("/v1/models/{model_id:path}", **MODEL)
    async def model(request: Request, model_id: str) -> Response:
        await _authorized(request, services, "generate")
        return JSONResponse((await _model_cards(services)).one(model_id))

    @app.get("/v1/models", **MODELS)
    async def models(request: Request) -> Response:
        await _authorized(request, services, "generate")
        return JSONResponse((await _model_cards(services)).all())


async def _overview(services: Services) -> tuple[Catalogue, list[Report]]:
    """The catalogue and the replicas' reports; while the store is down, the catalogue seen last and no reports."""
    try:
        return await services.store.overview()
    except NotReady as error:
        logger.warning("the replicas' reports cannot be had: %s", error.message)
        return services.store.catalogue, []


async def _model_cards(services: Services) -> ModelCards:
    base_id = await services.store.base_id()
    catalogue, reports = await _overview(services)
    return ModelCards(catalogue, base_id, services.router is not None, reports)


def _status_endpoints(app: FastAPI, services: Services) -> None:
    @app.get("/health", **HEALTH)
    async def health(request: Request) -> Response:
        missing = [] if "live" in request.query_params else await readiness(services)
        if missing:
            return JSONResponse({"status": "starting", "missing": missing}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", **METRICS)
    async def metrics(request: Request) -> Response:
        services.keys.identify(request.headers.get("authorization"))
        catalogue, reports = await _overview(services)
        return Response(services.metrics.render(catalogue, reports), media_type=CONTENT_TYPE)


def _handle_errors(app: FastAPI) -> None:
    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        asked = f"{request.method} {shortened(request.url.path)}"
        message = f"{asked} is not an endpoint of this server; see GET /docs, or GET /v1/models to begin"
        document = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        return JSONResponse({"error": document}, error.status_code, error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        response = error_response(error)
        if response.status_code == 500:
            logger.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return response

    for kind in (AdaptrixError, OSError, RayError, RayServeException):
        app.add_exception_handler(kind, failed)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, failed)
