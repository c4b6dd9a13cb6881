"""``/v1/chat/completions`` and ``/v1/completions``: one request generated, streamed or whole."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from deployments.callers.principal import Principal
from deployments.generation.row_ends import raise_if_broken
from deployments.generation.start import RunningRequest
from deployments.http.description.endpoints import CHAT, COMPLETION
from deployments.http.endpoint import body_of
from deployments.http.endpoints.begin import begin
from deployments.http.services import Services
from deployments.http.sse import EventStream, server_sent_events
from deployments.openai.documents import ChunkedAnswer, Usage, WholeAnswer
from deployments.openai.schemas import ChatRequest, CompletionRequest, StreamOptions


def generation_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def generate(request: Request, model: type[ChatRequest] | type[CompletionRequest]) -> Response:
        async def read(_: Principal) -> ChatRequest | CompletionRequest:
            sent: ChatRequest | CompletionRequest = await body_of(request, services, model)
            return sent

        body, running = await begin(request, services, read)
        if not body.stream:
            document = await _whole(running)
            told = (choice.get("adaptrix", {}) for choice in document["choices"])
            return JSONResponse(document, headers=running.headers(told))
        answer = ChunkedAnswer(running.head, running.num_rows)
        options = body.stream_options or StreamOptions()
        events = server_sent_events(running.stream, answer, running.rows_per_prompt, options)
        return EventStream(events, running.stream, running.headers())

    @app.post("/v1/chat/completions", **CHAT)
    async def chat_completions(request: Request) -> Response:
        return await generate(request, ChatRequest)

    @app.post("/v1/completions", **COMPLETION)
    async def completions(request: Request) -> Response:
        return await generate(request, CompletionRequest)


async def _whole(running: RunningRequest) -> dict[str, Any]:
    answer, usage = WholeAnswer(running.head, running.num_rows), Usage()
    async with aclosing(running.stream) as stream:
        async for pieces in stream:
            raise_if_broken(pieces)
            answer.add_pieces(pieces)
            usage.count(pieces, running.rows_per_prompt)
    return answer.document(usage)
