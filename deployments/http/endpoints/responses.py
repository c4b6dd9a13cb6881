"""``/v1/responses``: OpenAI's Responses API, over the same generation as chat, and the responses that are stored."""

from __future__ import annotations

import logging
import secrets

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.context.memory.exchanges import ASKING
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from deployments.callers.principal import Principal
from deployments.http.bodies import require_characters, translated
from deployments.http.description.endpoints import RESPONSE, RESPONSE_DELETED, RESPONSE_ITEMS, RESPONSES
from deployments.http.endpoint import authorized, body_of
from deployments.http.endpoints.begin import begin
from deployments.http.endpoints.conversations import conversations_of
from deployments.http.endpoints.paging import page_of_items
from deployments.http.services import Services
from deployments.http.sse import DONE, EventStream
from deployments.http.typed_answers import typed_events, whole_answer, whole_response
from deployments.openai.schemas import ChatRequest
from deployments.responses.answer import ResponseAnswer
from deployments.responses.conversations import StoredConversations, require_room
from deployments.responses.items import ItemDocument
from deployments.responses.remembering import NOTHING_LEFT_OUT, Remembering
from deployments.responses.request import ResponsesRequest
from deployments.responses.stored import Earlier, StoredResponse, StoredResponses
from deployments.responses.translation import as_chat

logger = logging.getLogger(__name__)


def responses_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    remembering = Remembering(services.tokenizer, services.router)

    def stored_for(principal: Principal) -> StoredResponses:
        return StoredResponses(services.objects, principal.tenant, services.settings.objects.response_ttl_s)

    @app.post("/v1/responses", **RESPONSES)
    async def create(request: Request) -> Response:
        asked = _Asked(f"resp_{secrets.token_hex(16)}", remembering)

        async def read(principal: Principal) -> ChatRequest:
            asked.stored = stored_for(principal)
            asked.body = await body_of(request, services, ResponsesRequest)
            asked.conversations = conversations_of(services, principal.tenant)
            earlier = await asked.before()
            chat = await translated(request, lambda: asked.translated(earlier))
            require_characters(chat, services.settings.security.max_text_characters)
            return chat

        _, running = await begin(request, services, read, asked.response_id, asked.shortened)
        answer = ResponseAnswer(running.head, asked.body, asked.memory.told)
        if asked.body.stream:
            events = typed_events(running.stream, answer, DONE, lambda: asked.keep(answer))
            return EventStream(events, running.stream, running.headers(), lambda: asked.keep_left(answer))
        await whole_answer(running, answer)
        await asked.keep(answer)
        return whole_response(running, answer.document())

    @app.get("/v1/responses/{response_id}", **RESPONSE)
    async def get(request: Request, response_id: str) -> Response:
        _no_stream(request)
        stored = await stored_for(authorized(request, services, "generate")).get(response_id)
        return JSONResponse(stored.document)

    @app.delete("/v1/responses/{response_id}", **RESPONSE_DELETED)
    async def delete(request: Request, response_id: str) -> Response:
        await stored_for(authorized(request, services, "generate")).delete(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    @app.get("/v1/responses/{response_id}/input_items", **RESPONSE_ITEMS)
    async def input_items(request: Request, response_id: str) -> Response:
        stored = await stored_for(authorized(request, services, "generate")).get(response_id)
        return JSONResponse(page_of_items(stored.input, request.query_params))


class _Asked:
    """A request for a response, with what is needed to keep its answer."""

    def __init__(self, response_id: str, remembering: Remembering) -> None:
        self.response_id = response_id
        self.memory = NOTHING_LEFT_OUT
        self._remembering = remembering
        self._earlier = Earlier((), {})
        self.body: ResponsesRequest
        self.items: list[ItemDocument]
        self.stored: StoredResponses
        self.conversations: StoredConversations
        self._is_settled = False

    async def before(self) -> Earlier:
        """What the request goes on from and refers to. Raises InvalidRequest."""
        if self.body.conversation_id is None:
            return await self.stored.before(self.body)
        record = await self.conversations.gone_on_from(self.body.conversation_id)
        return await self.stored.referring(self.body, record.items, record.left_out)

    def translated(self, earlier: Earlier) -> ChatRequest:
        """The chat request that answers the whole conversation. Raises InvalidRequest."""
        self.items = earlier.conversation(self.body, self.response_id)
        self._earlier = earlier
        if self.body.conversation_id is not None:
            require_room(earlier.items, self.items[len(earlier.items) :])
        return as_chat(self.body, self.items)

    async def shortened(self, chat: ChatRequest, principal: Principal) -> ChatRequest:
        """The chat with the turns that the context has room for, where the request leaves that to the server."""
        if self.body.truncation != "auto":
            return chat
        questions = [item["id"] for item in self.items if item.get("role") == ASKING]
        fitted, self.memory = await self._remembering.fit(chat, principal, questions, self._earlier.left_out)
        return fitted

    async def keep(self, answer: ResponseAnswer) -> None:
        """Keep an answer that has ended, if that is asked for. Where it cannot be kept, it says so in ``store``."""
        self._is_settled = True
        try:
            await self._add_to_conversation(answer)
            if self.body.store:
                await self.stored.put(StoredResponse(answer.document(), self.items, self.memory.left_out))
        except AdaptrixError as error:
            logger.warning("the response %s could not be stored: %s", self.response_id, error.message)
            answer.not_stored()

    async def _add_to_conversation(self, answer: ResponseAnswer) -> None:
        """Add what was asked and answered to the conversation, if the request is in one."""
        if self.body.conversation_id is None:
            return
        added = [*self.items[len(self._earlier.items) :], *answer.document()["output"]]
        left_out = self.memory.left_out
        await self.conversations.change(self.body.conversation_id, lambda one: one.with_items(added, left_out))

    async def keep_left(self, answer: ResponseAnswer) -> None:
        """Keep what there is of an answer whose client has left before its end."""
        if not self._is_settled:
            answer.left()
            await self.keep(answer)


def _no_stream(request: Request) -> None:
    """Raise InvalidRequest where a stored response is to be streamed."""
    if request.query_params.get("stream", "false").lower() not in ("false", "0"):
        raise InvalidRequest(
            "stream: a stored response is sent whole; leave it out", code="unsupported_field", param="stream"
        )
