"""``/v1/messages``: Anthropic's Messages API, over the same generation as chat."""

from __future__ import annotations

import secrets

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from deployments.anthropic.answer import MessageAnswer
from deployments.anthropic.request import MessagesRequest, TokenCountRequest
from deployments.callers.principal import Principal
from deployments.http.bodies import require_characters, translated
from deployments.http.description.endpoints import COUNT_TOKENS, MESSAGES
from deployments.http.endpoint import authorized, body_of
from deployments.http.endpoints.begin import begin
from deployments.http.endpoints.tokens import require_model
from deployments.http.faults import invalid_body
from deployments.http.services import Services
from deployments.http.sse import SILENT_DONE, EventStream
from deployments.http.typed_answers import typed_events, whole_answer, whole_response
from deployments.openai.schemas import ChatRequest
from deployments.shared.token_calls import TokenizeCall


def message_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def chat_of(request: Request, model: type[TokenCountRequest]) -> ChatRequest:
        asked: TokenCountRequest = await body_of(request, services, model)
        chat = await translated(request, asked.as_chat)
        require_characters(chat, services.settings.security.max_text_characters)
        return chat

    @app.post("/v1/messages", **MESSAGES)
    async def create(request: Request) -> Response:
        async def read(_: Principal) -> ChatRequest:
            return await chat_of(request, MessagesRequest)

        body, running = await begin(request, services, read, f"msg_{secrets.token_hex(16)}")
        answer = MessageAnswer(running.head)
        if not body.stream:
            return whole_response(running, await whole_answer(running, answer))
        return EventStream(typed_events(running.stream, answer, SILENT_DONE), running.stream, running.headers())

    @app.post("/v1/messages/count_tokens", **COUNT_TOKENS)
    async def count_tokens(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        try:
            chat = await chat_of(request, TokenCountRequest)
        except ValidationError as error:
            raise invalid_body(error, None) from None
        await require_model(chat.model, services, principal)
        prompt = tuple(message.plain() for message in chat.messages)
        told = await services.tokenizer.tokenize(TokenizeCall(prompt, principal.salt, chat.chat_options()))
        return JSONResponse({"input_tokens": len(told.token_ids)})
