"""Conversations of one tenant: items that are kept under one id, added to by answers and by their owner.

A conversation is one object. It is changed by reading, changing and replacing it, where nobody else has changed it
meanwhile, so two answers that end at once are both in it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from adaptrix_core.errors import Conflict, InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.objects.records import ObjectKey
from deployments.responses.items import ItemDocument
from deployments.responses.stored import ObjectStore
from deployments.shared.errors import ObjectNotFound

TRIES = 8
"""How often a change is begun anew because another one came first."""


@dataclass(frozen=True)
class ConversationRecord:
    """One conversation."""

    conversation_id: str
    created_at: int
    """Seconds since the epoch."""
    metadata: Mapping[str, str]
    items: Sequence[ItemDocument] = ()
    """In order, each with an id."""
    left_out: Sequence[str] = ()
    """Ids of the questions whose turns the last prompt left out."""

    def document(self) -> dict[str, Any]:
        """The form in which it is told."""
        told = {"id": self.conversation_id, "object": "conversation", "created_at": self.created_at}
        return {**told, "metadata": dict(self.metadata)}

    def with_items(self, more: Sequence[ItemDocument], left_out: Sequence[str] | None = None) -> ConversationRecord:
        """The same with further items. left_out: as it is from now on; None: as it was. Raises InvalidRequest."""
        require_room(self.items, more)
        known = self.left_out if left_out is None else left_out
        return replace(self, items=[*self.items, *more], left_out=known)

    def without(self, item_id: str) -> ConversationRecord:
        """The same without an item. Raises ObjectNotFound."""
        self.item(item_id)
        return replace(self, items=[item for item in self.items if item["id"] != item_id])

    def item(self, item_id: str) -> ItemDocument:
        """The item of this id. Raises ObjectNotFound."""
        found = next((item for item in self.items if item["id"] == item_id), None)
        if found is None:
            raise ObjectNotFound(
                f"the conversation {self.conversation_id} has no item {item_id[:80]!r}; list its items"
            )
        return found


class StoredConversations:
    """The conversations of one tenant."""

    def __init__(self, objects: ObjectStore, tenant: str, ttl_s: float) -> None:
        """ttl_s: seconds for which a conversation is kept after its last change."""
        self._objects = objects
        self._tenant = tenant
        self._ttl_s = ttl_s

    async def create(self, items: Sequence[ItemDocument], metadata: Mapping[str, str]) -> ConversationRecord:
        """A new conversation. Raises QuotaFull, StorageFailed, BodyTooLarge."""
        made = ConversationRecord(f"conv_{secrets.token_hex(16)}", int(time.time()), metadata, items)
        await self._objects.put_object(self._key(made.conversation_id), _written(made), self._ttl_s)
        return made

    async def get(self, conversation_id: str) -> ConversationRecord:
        """The conversation. Raises ObjectNotFound."""
        return (await self._read(conversation_id))[0]

    async def gone_on_from(self, conversation_id: str) -> ConversationRecord:
        """The conversation that a request for a response names. Raises InvalidRequest."""
        try:
            return await self.get(conversation_id)
        except ObjectNotFound:
            raise InvalidRequest(
                f"conversation with id {conversation_id!r} not found: it has expired, was deleted, or is another "
                "tenant's; make one with POST /v1/conversations",
                code="unknown_conversation",
                param="conversation",
            ) from None

    async def change(
        self, conversation_id: str, how: Callable[[ConversationRecord], ConversationRecord]
    ) -> ConversationRecord:
        """The conversation after a change, which may be made several times before it is kept.

        Raises ObjectNotFound, Conflict where others change it all the time, QuotaFull, StorageFailed, BodyTooLarge,
        and what ``how`` raises.
        """
        for attempt in range(TRIES):
            before, seen = await self._read(conversation_id)
            after = how(before)
            try:
                await self._objects.replace_object(self._key(conversation_id), _written(after), seen, self._ttl_s)
            except Conflict:
                if attempt + 1 == TRIES:
                    raise
                continue
            except ObjectNotFound:
                raise _not_found(conversation_id) from None
            return after
        raise AssertionError("the last try returns or raises")

    async def delete(self, conversation_id: str) -> None:
        """Delete the conversation and its items. Raises ObjectNotFound."""
        try:
            await self._objects.delete_object(self._key(conversation_id))
        except ObjectNotFound:
            raise _not_found(conversation_id) from None

    async def _read(self, conversation_id: str) -> tuple[ConversationRecord, str]:
        """The conversation, and the digest of what was read."""
        try:
            found = await self._objects.get_object(self._key(conversation_id))
        except ObjectNotFound:
            raise _not_found(conversation_id) from None
        return ConversationRecord(**from_json(found.document)), found.document_digest

    def _key(self, conversation_id: str) -> ObjectKey:
        return ObjectKey(self._tenant, "conversation", conversation_id)


def require_room(items: Sequence[ItemDocument], more: Sequence[ItemDocument]) -> None:
    """Raise InvalidRequest where a conversation would have too many items."""
    if len(items) + len(more) > MOST.conversation_items:
        raise InvalidRequest(
            f"the conversation would have {len(items) + len(more)} items; at most {MOST.conversation_items} are kept: "
            "delete some, or begin a new one",
            param="items",
        )


def _written(record: ConversationRecord) -> bytes:
    written = {**vars(record), "metadata": dict(record.metadata), "items": list(record.items)}
    written["left_out"] = list(record.left_out)
    return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _not_found(conversation_id: str) -> ObjectNotFound:
    return ObjectNotFound(
        f"there is no conversation {conversation_id[:80]!r}: it has expired, was deleted, or is another tenant's; make "
        "one with POST /v1/conversations"
    )
