"""Describes the endpoints of conversations for OpenAPI: keyword arguments of their decorators."""

from __future__ import annotations

from adaptrix_core.request_limits import MOST
from deployments.http.description import conversation_answers, response_answers
from deployments.http.description.described import KEPT, TAKING, described
from deployments.responses.conversation_bodies import ConversationItems, ConversationRequest, ConversationUpdate

_CHANGING = (*TAKING, 404, 409, 507)
_SAID = {"type": "message", "role": "user", "content": "My dog is called Biscuit."}

CONVERSATION_CREATE = described(
    "Begin a conversation that is kept",
    scope="generate",
    takes=ConversationRequest,
    example={"items": [_SAID], "metadata": {"topic": "pets"}},
    gives=conversation_answers.ConversationDocument,
    errors=(*TAKING, 507),
)
CONVERSATION = described(
    "A conversation", scope="generate", gives=conversation_answers.ConversationDocument, errors=KEPT
)
CONVERSATION_UPDATE = described(
    "Change what is kept with a conversation",
    scope="generate",
    takes=ConversationUpdate,
    example={"metadata": {"topic": "dogs"}},
    gives=conversation_answers.ConversationDocument,
    errors=_CHANGING,
)
CONVERSATION_DELETE = described(
    "Delete a conversation and all of its items",
    scope="generate",
    gives=conversation_answers.ConversationDeleted,
    errors=KEPT,
)
ITEMS = described("The items of a conversation", scope="generate", gives=response_answers.InputItemList, errors=KEPT)
ITEMS["openapi_extra"]["parameters"] = [
    {"name": "after", "in": "query", "description": "Id of the item before the first.", "schema": {"type": "string"}},
    {
        "name": "limit",
        "in": "query",
        "description": "Most items of the page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST.listed_items, "default": 20},
    },
    {
        "name": "order",
        "in": "query",
        "description": "The newest first, or the oldest.",
        "schema": {"enum": ["desc", "asc"], "default": "desc"},
    },
]
ITEMS_ADD = described(
    "Add items to a conversation",
    scope="generate",
    takes=ConversationItems,
    example={"items": [_SAID]},
    gives=response_answers.InputItemList,
    errors=_CHANGING,
)
ITEM = described("An item", scope="generate", gives=conversation_answers.ConversationItemDocument, errors=KEPT)
ITEM_DELETE = described(
    "Take an item out of a conversation",
    scope="generate",
    gives=conversation_answers.ConversationDocument,
    errors=(*KEPT, 409),
)
