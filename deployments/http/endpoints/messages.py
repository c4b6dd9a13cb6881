"""``/v1/messages``: Anthropic's Messages API, over the same generation as chat."""

from __future__ import annotations

import secrets

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from deployments.anthropic.answer import MessageAnswer
from deployments.anthropic.request import MessagesRequest
from deployments.http.description.endpoints import MESSAGES
from deployments.http.endpoint import body_of
from deployments.http.endpoints.begin import begin
from deployments.http.services import Services
from deployments.http.sse import SILENT_DONE, EventStream
from deployments.http.typed_answers import typed_events, whole_answer
from deployments.openai.schemas import ChatRequest
from deployments.shared.principals import Principal


def message_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    @app.post("/v1/messages", **MESSAGES)
    async def create(request: Request) -> Response:
        async def read(_: Principal) -> ChatRequest:
            asked: MessagesRequest = await body_of(request, services, MessagesRequest)
            return asked.as_chat()

        body, running = await begin(request, services, read, f"msg_{secrets.token_hex(16)}")
        headers = running.resolved.headers()
        answer = MessageAnswer(running.head)
        if not body.stream:
            return JSONResponse(await whole_answer(running, answer), headers=headers)
        return EventStream(typed_events(running.stream, answer, SILENT_DONE), running.stream, headers)
