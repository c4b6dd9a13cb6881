"""``/v1/conversations``: OpenAI's Conversations API: what was said, kept under one id for `/v1/responses`."""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.errors import InvalidRequest
from deployments.http.description.conversation_endpoints import (
    CONVERSATION,
    CONVERSATION_CREATE,
    CONVERSATION_DELETE,
    CONVERSATION_UPDATE,
    ITEM,
    ITEM_DELETE,
    ITEMS,
    ITEMS_ADD,
)
from deployments.http.endpoint import authorized, body_of
from deployments.http.endpoints.paging import page_document, page_of_items
from deployments.http.services import Services
from deployments.responses.conversation_bodies import (
    ConversationItems,
    ConversationRequest,
    ConversationUpdate,
    new_items,
)
from deployments.responses.conversations import StoredConversations


def conversation_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    def of_caller(request: Request) -> StoredConversations:
        return conversations_of(services, authorized(request, services, "generate").tenant)

    @app.post("/v1/conversations", **CONVERSATION_CREATE)
    async def create(request: Request) -> Response:
        conversations = of_caller(request)
        body: ConversationRequest = await body_of(request, services, ConversationRequest)
        made = await conversations.create(new_items(body.items or ()), body.metadata or {})
        return JSONResponse(made.document())

    @app.get("/v1/conversations/{conversation_id}", **CONVERSATION)
    async def get(request: Request, conversation_id: str) -> Response:
        return JSONResponse((await of_caller(request).get(conversation_id)).document())

    @app.post("/v1/conversations/{conversation_id}", **CONVERSATION_UPDATE)
    async def update(request: Request, conversation_id: str) -> Response:
        conversations = of_caller(request)
        body: ConversationUpdate = await body_of(request, services, ConversationUpdate)
        changed = await conversations.change(conversation_id, lambda one: replace(one, metadata=body.metadata))
        return JSONResponse(changed.document())

    @app.delete("/v1/conversations/{conversation_id}", **CONVERSATION_DELETE)
    async def delete(request: Request, conversation_id: str) -> Response:
        await of_caller(request).delete(conversation_id)
        return JSONResponse({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    @app.get("/v1/conversations/{conversation_id}/items", **ITEMS)
    async def items(request: Request, conversation_id: str) -> Response:
        found = await of_caller(request).get(conversation_id)
        return JSONResponse(page_of_items(found.items, request.query_params))

    @app.post("/v1/conversations/{conversation_id}/items", **ITEMS_ADD)
    async def add(request: Request, conversation_id: str) -> Response:
        conversations = of_caller(request)
        if others := sorted(set(request.query_params) - {"include"}):
            raise InvalidRequest(
                f"parameter {others[0][:80]!r} is not supported; remove it",
                code="unsupported_field",
                param=others[0][:80],
            )
        body: ConversationItems = await body_of(request, services, ConversationItems)
        added = new_items(body.items)
        await conversations.change(conversation_id, lambda one: one.with_items(added))
        return JSONResponse(page_document(added, False))

    @app.get("/v1/conversations/{conversation_id}/items/{item_id}", **ITEM)
    async def item(request: Request, conversation_id: str, item_id: str) -> Response:
        return JSONResponse((await of_caller(request).get(conversation_id)).item(item_id))

    @app.delete("/v1/conversations/{conversation_id}/items/{item_id}", **ITEM_DELETE)
    async def delete_item(request: Request, conversation_id: str, item_id: str) -> Response:
        changed = await of_caller(request).change(conversation_id, lambda one: one.without(item_id))
        return JSONResponse(changed.document())


def conversations_of(services: Services, tenant: str) -> StoredConversations:
    """The conversations of a tenant."""
    return StoredConversations(services.objects, tenant, services.settings.objects.conversation_ttl_s)
