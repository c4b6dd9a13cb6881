"""What a key may do: scopes, and roles, which are the sets of scopes that people are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Scope = Literal["read", "generate", "publish", "keys", "operate"]
"""``read``: the catalogue, its cards, and what state the server is in. ``generate``: answers, and the tenant's own
files, batches, responses and conversations. ``publish``: load, publish, share and unload the tenant's adapters.
``keys``: make, change and end the tenant's keys, up to what one may do oneself. ``operate``: what concerns all tenants:
public adapters, metrics, revocations, what the router learns, being more urgent than others."""

Role = Literal["viewer", "user", "curator", "owner", "operator"]

ALL: frozenset[Scope] = frozenset(get_args(Scope))

ROLES: Mapping[Role, frozenset[Scope]] = {
    "viewer": frozenset({"read"}),
    "user": frozenset({"read", "generate"}),
    "curator": frozenset({"read", "generate", "publish"}),
    "owner": frozenset({"read", "generate", "publish", "keys"}),
    "operator": frozenset({"read", "publish", "operate"}),
}

_IMPLIED: Mapping[str, frozenset[Scope]] = {"admin": ALL, "generate": frozenset({"read", "generate"})}
"""Scopes that keys files had before there were more of them, and what they have always allowed."""


def granted(scopes: Iterable[str], roles: Iterable[Role] = ()) -> frozenset[Scope]:
    """All scopes that these scopes and roles come to. ``admin`` is all of them; who may generate may read.

    Raises KeyError for a role, or a scope, that there is not.
    """
    known: Mapping[str, frozenset[Scope]] = {**{scope: frozenset({scope}) for scope in ALL}, **_IMPLIED}
    return frozenset().union(*(known[scope] for scope in scopes), *(ROLES[role] for role in roles))
