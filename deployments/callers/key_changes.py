"""What can be done to the keys of a file: made, rotated, changed. Each gives the records as they are then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.suggestions import did_you_mean
from deployments.callers.key_file import FormerKey, KeyRecord, hash_key, new_key

Records = tuple[KeyRecord, ...]


def created(
    records: Records, key_id: str, tenant: str, roles: Sequence[str], expires: datetime | None
) -> tuple[Records, str]:
    """With one more key, and that key. Raises InvalidRequest for an id that there is, or one that cannot be."""
    if any(record.id == key_id for record in records):
        raise InvalidRequest(f"there is a key {key_id!r} already; choose another id, or rotate it", param="id")
    key = new_key()
    try:
        record = KeyRecord.model_validate(
            {"id": key_id, "sha256": hash_key(key), "tenant": tenant, "roles": tuple(roles), "expires": expires}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise InvalidRequest(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", param="id") from None
    return (*records, record), key


def rotated(records: Records, key_id: str, until: datetime) -> tuple[Records, str]:
    """With another key in the place of one, and that key; the former one works on until then. Raises InvalidRequest."""
    key, now = new_key(), _called(records, key_id)
    return changed(records, key_id, sha256=hash_key(key), former=FormerKey(sha256=now.sha256, until=until)), key


def changed(records: Records, key_id: str, **fields: Any) -> Records:
    """With other values of a key's fields. Raises InvalidRequest for a key that there is not."""
    wanted = _called(records, key_id)
    return tuple(record.model_copy(update=fields) if record is wanted else record for record in records)


def removed(records: Records, key_id: str) -> Records:
    """Without a key. Raises InvalidRequest for one that there is not."""
    gone = _called(records, key_id)
    return tuple(record for record in records if record is not gone)


def _called(records: Records, key_id: str) -> KeyRecord:
    for record in records:
        if record.id == key_id:
            return record
    raise InvalidRequest(
        f"no key is called {key_id!r}; {did_you_mean(key_id, [record.id for record in records])}", param="id"
    )
