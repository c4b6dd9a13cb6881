"""Describes the endpoints of a tenant's keys."""

from __future__ import annotations

from deployments.http.description.described import READING, TAKING, described
from deployments.http.keys import documents

OF_KEYS = (*READING, 409, 507)

KEYS = described("The tenant's keys", scope="keys", gives=documents.KeyList, errors=OF_KEYS)
KEY_MAKE = described(
    "Make a key of the tenant; it is shown this once",
    scope="keys",
    takes=documents.KeyRequest,
    example={"name": "ci", "roles": ["user"], "expires": "2030-06-30T00:00:00Z"},
    gives=documents.MadeKey,
    status=201,
    errors=(*TAKING, 409, 507),
)
KEY_CHANGE = described(
    "Disable a key, enable it again, or have it expire; requests that run with it end",
    scope="keys",
    takes=documents.KeyChange,
    example={"disabled": True},
    gives=documents.KeyCard,
    errors=(*TAKING, 404, 409, 507),
)
KEY_ROTATE = described(
    "Give a key another secret, shown this once; the former one works on for a while",
    scope="keys",
    takes=documents.KeyRotation,
    example={"overlap_s": 3600},
    gives=documents.MadeKey,
    errors=(*TAKING, 404, 409, 507),
)
KEY_DELETE = described(
    "Delete a key; requests that run with it end",
    scope="keys",
    gives=documents.KeyDeleted,
    errors=(*OF_KEYS, 404),
)
