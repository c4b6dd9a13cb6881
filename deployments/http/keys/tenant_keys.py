"""What a tenant may do with its own keys, whoever of it asks: never more than that one may do itself.

Writes the keys file, which every process of the server follows. Keys of other tenants are not there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from adaptrix_core.errors import Conflict, Forbidden
from deployments.callers.key_changes import Records, changed, created, removed, rotated
from deployments.callers.key_file import KeyRecord, change_keys, read_keys
from deployments.callers.principal import Principal
from deployments.callers.scopes import Role, Scope, granted
from deployments.http.services import Services
from deployments.shared.errors import ObjectNotFound

T = TypeVar("T")


class TenantKeys:
    """The keys of a caller's tenant."""

    def __init__(self, services: Services, principal: Principal) -> None:
        """Raises Conflict on a server without keys."""
        path = services.settings.security.api_keys_file
        if path is None:
            raise Conflict("this server has no keys (setting security.api_keys_file), so there are none to change")
        self._path: Path = path
        self._ring = services.keys
        self._principal = principal

    async def all(self) -> list[dict[str, Any]]:
        """A card for each key."""
        records = await asyncio.to_thread(read_keys, self._path)
        return [card_of(record) for record in records if record.tenant == self._principal.tenant]

    async def make(self, name: str, roles: list[Role], expires: datetime | None) -> tuple[dict[str, Any], str]:
        """A new key: its card, and the key. Raises Forbidden for roles that allow more than the caller may."""
        self._refuse_more(granted((), roles), f"roles {', '.join(roles)}")
        tenant = self._principal.tenant
        key_id = f"{tenant}/{name}"
        records, key = await self._change(lambda records: created(records, key_id, tenant, roles, expires))
        return card_of(_called(records, key_id)), key

    async def rotate(self, key_id: str, overlap_s: int) -> tuple[dict[str, Any], str]:
        """Another key in the place of one: its card, and the key. Raises ObjectNotFound, Forbidden."""
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=overlap_s)
        records, key = await self._change_own(key_id, lambda records: rotated(records, key_id, until))
        return card_of(_called(records, key_id)), key

    async def change(self, key_id: str, **fields: Any) -> dict[str, Any]:
        """Other values of a key's fields: its card. Raises ObjectNotFound, Forbidden, Conflict for the caller's own."""
        self._refuse_own(key_id)
        records, _ = await self._change_own(key_id, lambda records: (changed(records, key_id, **fields), None))
        return card_of(_called(records, key_id))

    async def delete(self, key_id: str) -> None:
        """Have a key be no more. Raises as `change`."""
        self._refuse_own(key_id)
        await self._change_own(key_id, lambda records: (removed(records, key_id), None))

    async def _change_own(self, key_id: str, change: Callable[[Records], tuple[Records, T]]) -> tuple[Records, T]:
        def changing(records: Records) -> tuple[Records, T]:
            record = next((one for one in records if one.id == key_id), None)
            if record is None or record.tenant != self._principal.tenant:
                raise ObjectNotFound(f"no key of this tenant is called {key_id[:80]!r}; GET /v1/keys lists them")
            self._refuse_more(record.principal.scopes, f"key {key_id!r}")
            return change(records)

        return await self._change(changing)

    async def _change(self, change: Callable[[Records], tuple[Records, T]]) -> tuple[Records, T]:
        records, result = await asyncio.to_thread(change_keys, self._path, change)
        self._ring.replace(records)  # here at once; elsewhere with the next look at the file
        return records, result

    def _refuse_more(self, scopes: frozenset[Scope], what: str) -> None:
        more = scopes - self._principal.scopes
        if more:
            raise Forbidden(
                f"{what}: may {', '.join(sorted(more))}, and API key {self._principal.key_id!r} may not; a key makes "
                "and changes none that may do more than itself",
                param="roles",
            )

    def _refuse_own(self, key_id: str) -> None:
        if key_id == self._principal.key_id:
            raise Conflict(f"{key_id!r} is the key that asks; use another one, or rotate it")


def card_of(record: KeyRecord) -> dict[str, Any]:
    """A key for people."""
    return {
        "object": "adaptrix.key",
        "id": record.id,
        "tenant": record.tenant,
        "roles": list(record.roles),
        "scopes": sorted(record.principal.scopes),
        "expires": None if record.expires is None else record.expires.isoformat(),
        "state": record.why_refused(time.time()) or "works",
    }


def _called(records: Records, key_id: str) -> KeyRecord:
    return next(record for record in records if record.id == key_id)
