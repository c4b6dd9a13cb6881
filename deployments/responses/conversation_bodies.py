"""The bodies of ``/v1/conversations``: OpenAI's fields."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.responses.items import SAID, InputItem, ItemDocument, ReferenceItem
from deployments.responses.output import ID_PREFIX
from deployments.responses.request import Metadata


def _own_items(items: list[InputItem]) -> list[InputItem]:
    if any(isinstance(item, ReferenceItem) for item in items):
        raise ValueError("should have items themselves; an item_reference belongs into the input of a response")
    return items


AddedItems = Annotated[list[InputItem], Field(max_length=MOST.added_items, fail_fast=True), AfterValidator(_own_items)]


class ConversationRequest(Body):
    """``POST /v1/conversations``."""

    items: AddedItems | None = None
    """What it begins with."""
    metadata: Metadata | None = None
    """Kept with the conversation; at most 16 texts."""

    def num_characters(self) -> int:
        """Characters of the items."""
        return _num_characters(self.items or ())


class ConversationUpdate(Body):
    """``POST /v1/conversations/{conversation_id}``."""

    metadata: Metadata
    """In the place of what was there."""


class ConversationItems(Body):
    """``POST /v1/conversations/{conversation_id}/items``."""

    items: Annotated[AddedItems, Field(min_length=1)]

    def num_characters(self) -> int:
        """Characters of the items."""
        return _num_characters(self.items)


def new_items(items: Sequence[InputItem]) -> list[ItemDocument]:
    """The items as they are kept, each under an id of its own; reasoning is dropped."""
    documents = [item.document() for item in items if isinstance(item, SAID)]
    return [{**one, "id": f"{ID_PREFIX[one['type']]}_{secrets.token_hex(16)}"} for one in documents]


def _num_characters(items: Sequence[InputItem]) -> int:
    return sum(len(item.text) for item in items if isinstance(item, SAID))
