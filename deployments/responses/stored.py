"""Stored responses of one tenant: kept, found again, and gone on from.

Each record holds the whole conversation: its input with everything that came before, and its output. So one read is
enough for the next turn, however long the chain is, and deleting or losing an earlier response breaks no later one. A
conversation is as long as a request may be, and that bounds a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.objects.records import ObjectKey, StoredObject
from deployments.responses.items import CallItem, CallOutputItem, ItemDocument, MessageItem, ReferenceItem
from deployments.responses.output import ID_PREFIX, item_id, response_of_item
from deployments.responses.request import ResponsesRequest
from deployments.shared.errors import ObjectNotFound


class ObjectStore(Protocol):
    """The store of tenants' objects as far as one object goes (`objects/tenant_objects.py` says what each raises)."""

    async def put_object(
        self, key: ObjectKey, document: bytes, ttl_s: float | None = None, gives_way: bool = False
    ) -> StoredObject:
        """Keep a document, in the place of the one that has its key."""

    async def get_object(self, key: ObjectKey) -> StoredObject:
        """The object."""

    async def replace_object(
        self, key: ObjectKey, document: bytes, seen: str, ttl_s: float | None = None
    ) -> StoredObject:
        """Keep a document in the place of the one whose digest is ``seen``."""

    async def delete_object(self, key: ObjectKey) -> None:
        """Delete the object."""


@dataclass(frozen=True)
class StoredResponse:
    """A response and all that led to it."""

    document: dict[str, Any]
    """As it was answered."""
    input: Sequence[ItemDocument]
    """Every item of the conversation before its answer, each with an id."""
    left_out: Sequence[str] = ()
    """Ids of the questions whose turns its prompt left out (`responses/remembering.py`)."""

    @property
    def conversation(self) -> list[ItemDocument]:
        """All items, the answer's as well."""
        return [*self.input, *self.document["output"]]


@dataclass(frozen=True)
class Earlier:
    """What a request goes on from and refers to."""

    items: Sequence[ItemDocument]
    """Of the conversation so far."""
    known: Mapping[str, ItemDocument]
    """Every item that the request may refer to, by id."""
    left_out: Sequence[str] = ()
    """Ids of the questions whose turns the prompt before left out."""

    def conversation(self, body: ResponsesRequest, response_id: str) -> list[ItemDocument]:
        """All items that the request is to answer, those of earlier turns first, each with an id."""
        items = body.input if isinstance(body.input, list) else [MessageItem(role="user", content=body.input)]
        own = [
            self.known[item.id] if isinstance(item, ReferenceItem) else item.document()
            for item in items
            if isinstance(item, MessageItem | CallItem | CallOutputItem | ReferenceItem)
        ]
        return [*self.items] + [
            {"id": item_id(ID_PREFIX[item["type"]], response_id, f"i{place}"), **item}
            for place, item in enumerate(own, len(self.items))
        ]


class StoredResponses:
    """The responses of one tenant."""

    def __init__(self, objects: ObjectStore, tenant: str, ttl_s: float) -> None:
        """ttl_s: seconds for which a response is kept."""
        self._objects = objects
        self._tenant = tenant
        self._ttl_s = ttl_s

    async def get(self, response_id: str) -> StoredResponse:
        """The response. Raises ObjectNotFound."""
        try:
            found = await self._objects.get_object(self._key(response_id))
        except ObjectNotFound:
            raise _not_found(response_id) from None
        record = from_json(found.document)
        return StoredResponse(record["response"], record["input"], record.get("left_out", ()))

    async def put(self, stored: StoredResponse) -> None:
        """Keep a response; the tenant's oldest give way where its quota is full. Raises QuotaFull, StorageFailed."""
        record: dict[str, Any] = {"response": stored.document, "input": list(stored.input)}
        if stored.left_out:
            record["left_out"] = list(stored.left_out)
        written = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        await self._objects.put_object(self._key(stored.document["id"]), written, self._ttl_s, gives_way=True)

    async def delete(self, response_id: str) -> None:
        """Delete the response. Raises ObjectNotFound."""
        try:
            await self._objects.delete_object(self._key(response_id))
        except ObjectNotFound:
            raise _not_found(response_id) from None

    async def before(self, body: ResponsesRequest) -> Earlier:
        """What a request goes on from and refers to.

        Raises InvalidRequest where an earlier response is not there (any more), or belongs to another tenant.
        """
        previous = await self._previous(body.previous_response_id) if body.previous_response_id else None
        earlier = [] if previous is None else previous.conversation
        return await self.referring(body, earlier, () if previous is None else previous.left_out)

    async def referring(
        self, body: ResponsesRequest, earlier: Sequence[ItemDocument], left_out: Sequence[str]
    ) -> Earlier:
        """These items before a request, with those that it refers to. Raises InvalidRequest where one isn't there."""
        known = {item["id"]: item for item in earlier}
        items = body.input if isinstance(body.input, list) else []
        await self._look_up([item.id for item in items if isinstance(item, ReferenceItem)], known)
        return Earlier(earlier, known, left_out)

    async def _previous(self, response_id: str) -> StoredResponse:
        try:
            return await self.get(response_id)
        except ObjectNotFound:
            raise InvalidRequest(
                f"previous response with id {response_id!r} not found: it was not stored, has expired, was deleted, or "
                "is another tenant's; send the conversation's items in `input`",
                code="previous_response_not_found",
                param="previous_response_id",
            ) from None

    async def _look_up(self, wanted: Sequence[str], known: dict[str, ItemDocument]) -> None:
        """Add items to ``known``. The last ones first: their response holds the earlier ones of its conversation."""
        read = 0
        for item in reversed(wanted):
            if item in known:
                continue
            read += 1
            if read > MOST.referenced_responses:
                raise InvalidRequest(
                    f"input refers to items of more than {MOST.referenced_responses} responses; send the items "
                    "themselves, or previous_response_id",
                    param="input",
                )
            try:
                found = await self.get(response_of_item(item) or item)
            except ObjectNotFound:
                found = StoredResponse({"output": []}, [])
            known |= {one["id"]: one for one in found.conversation}
            if item not in known:
                raise InvalidRequest(
                    f"item with id {item!r} not found: items are found while the response that has them is stored; "
                    "send the item itself",
                    code="item_not_found",
                    param="input",
                )

    def _key(self, response_id: str) -> ObjectKey:
        return ObjectKey(self._tenant, "response", response_id)


def _not_found(response_id: str) -> ObjectNotFound:
    return ObjectNotFound(
        f"there is no stored response {response_id[:80]!r}: it was not stored, has expired, was deleted, or gave way "
        "to newer ones; ask again"
    )
