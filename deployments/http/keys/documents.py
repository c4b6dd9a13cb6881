"""What is sent and answered about keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from adaptrix_core.request_limits import MOST
from deployments.callers.scopes import Role, Scope
from deployments.http.description.answers import Document
from deployments.openai.body import Body

DAY_S = 86_400


class KeyRequest(Body):
    """``POST /v1/keys``: a key of the caller's own tenant."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MOST.key_name_characters)
    """Its id is this behind the tenant's name: ``acme/ci``."""
    roles: list[Role] = Field(min_length=1, max_length=MOST.key_roles)
    """None that may do more than the key that asks."""
    expires: AwareDatetime | None = Field(default=None, strict=False)
    """When it stops working, with its offset from UTC; null: never."""


class KeyChange(Body):
    """``PATCH /v1/keys/{id}``; what is left out stays."""

    disabled: bool | None = None
    expires: AwareDatetime | None = Field(default=None, strict=False)


class KeyRotation(Body):
    """``POST /v1/keys/{id}/rotate``."""

    overlap_s: int = Field(default=DAY_S, ge=0, le=MOST.key_overlap_s)
    """Seconds for which the former key works on."""


class KeyCard(Document):
    """A key, without what it could be used by."""

    object: Literal["adaptrix.key"]
    id: str
    tenant: str
    roles: list[Role]
    scopes: list[Scope]
    """All that its roles and scopes come to."""
    expires: datetime | None
    state: str
    """``works``, or why it does not."""


class MadeKey(KeyCard):
    """A key that was made just now: shown this once."""

    key: str


class KeyList(Document):
    """The tenant's keys."""

    object: Literal["list"]
    data: list[KeyCard]


class KeyDeleted(Document):
    """A key that is no more."""

    object: Literal["adaptrix.key.deleted"]
    id: str
    deleted: Literal[True]
