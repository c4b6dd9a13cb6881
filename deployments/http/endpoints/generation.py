"""``/v1/chat/completions`` and ``/v1/completions``: one request generated, streamed or whole."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.errors import AdapterNotFound
from deployments.generation.deadline import Deadline
from deployments.generation.resolve import ResolvedRequest, resolve
from deployments.generation.row_ends import raise_if_broken
from deployments.generation.start import RunningRequest, start_request
from deployments.http.description.endpoints import CHAT, COMPLETION
from deployments.http.endpoint import authorized, body_of
from deployments.http.guard import WATCH
from deployments.http.observe.request_watch import RequestWatch
from deployments.http.services import Services
from deployments.http.sse import EventStream, server_sent_events
from deployments.openai.documents import ChunkedAnswer, Usage, WholeAnswer
from deployments.openai.schemas import ChatRequest, CompletionRequest, StreamOptions
from deployments.shared.principals import Principal


def generation_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def generate(request: Request, model: type[ChatRequest] | type[CompletionRequest]) -> Response:
        observe = services.settings.observe
        watch = RequestWatch(services.metrics, services.tracing, observe, request.url.path, request.headers)
        request.scope[WATCH] = watch  # closed by `Guard`, with the connection
        with watch.accepting():
            principal = authorized(request, services, "generate")
            deadline = Deadline.from_headers(request.headers)
            async with deadline.limit():
                body: ChatRequest | CompletionRequest = await body_of(request, services, model)
                watch.identified(principal, body)
                principal.require_priority(body.priority)
                base_id = await services.store.base_id()
                with watch.resolving():
                    resolved = await _resolved(body, base_id, services, principal)
                running = await start_request(body, resolved, principal, services.pipeline, base_id, deadline)
        headers = running.resolved.headers()
        watch.begun(running)
        if not body.stream:
            return JSONResponse(await _whole(running), headers=headers)
        answer = ChunkedAnswer(running.head, running.num_rows)
        options = body.stream_options or StreamOptions()
        events = server_sent_events(running.stream, answer, running.rows_per_prompt, options)
        return EventStream(events, running.stream, headers)

    @app.post("/v1/chat/completions", **CHAT)
    async def chat_completions(request: Request) -> Response:
        return await generate(request, ChatRequest)

    @app.post("/v1/completions", **COMPLETION)
    async def completions(request: Request) -> Response:
        return await generate(request, CompletionRequest)


async def _resolved(
    body: ChatRequest | CompletionRequest, base_id: str, services: Services, principal: Principal
) -> ResolvedRequest:
    """Who answers. A name that is unknown here may just have been loaded elsewhere, so the store is asked once."""
    try:
        return await resolve(body, base_id, services.store.catalogue, services.router, principal)
    except AdapterNotFound:
        return await resolve(body, base_id, await services.store.refresh(), services.router, principal)


async def _whole(running: RunningRequest) -> dict[str, Any]:
    answer, usage = WholeAnswer(running.head, running.num_rows), Usage()
    async with aclosing(running.stream) as stream:
        async for pieces in stream:
            raise_if_broken(pieces)
            answer.add_pieces(pieces)
            usage.count(pieces, running.rows_per_prompt)
    return answer.document(usage)
