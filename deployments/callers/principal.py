"""A principal: a caller that was recognised, its tenant, and what it may do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adaptrix_core.errors import Forbidden, InvalidRequest
from deployments.callers.scopes import ALL, ROLES, Scope
from deployments.shared.catalogue import Catalogue, View
from deployments.shared.entry import PUBLIC, Audience, Entry

Visibility = Literal["private", "shared", "public"]
"""Of an adapter: for its own tenant, for tenants that it is shared with too, or for all."""


@dataclass(frozen=True)
class Principal:
    """A caller that may use the server: its tenant and scopes."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]
    era: bytes = b""
    """Part of cache keys that differs after a key of the tenant stopped working: what was cached before is found no
    more, and leaves the cache as what nobody asks for does."""

    @property
    def salt(self) -> bytes:
        """Salt of this tenant's cache keys, which keeps its cached prompts apart from those of other tenants."""
        return tenant_salt(self.tenant)

    def sees(self, catalogue: Catalogue) -> View:
        """The adapters that there are for this caller: its requests may name them, and are told of no others."""
        return catalogue.seen_by(self.tenant)

    def oversees(self, catalogue: Catalogue) -> View:
        """The adapters whose state this caller may see: of all tenants for who may operate, else those it `sees`."""
        return catalogue.overseen_by(self.tenant) if "operate" in self.scopes else self.sees(catalogue)

    def require_change_of(self, entry: Entry) -> None:
        """Raise Forbidden unless this caller may unload an adapter that it sees: its tenant's; who operates, any."""
        if entry.tenant == self.tenant or "operate" in self.scopes:
            return
        whose = "another tenant's" if entry.tenant else "public"
        raise Forbidden(
            f"{entry.public_name!r} is {whose}; {self._lacks('operate')}, without which only adapters of its own "
            "tenant can be changed: ask an operator",
            code="foreign_adapter",
        )

    def audience(self, visibility: Visibility | None, shared_with: Sequence[str]) -> Audience:
        """Who is to see what this caller loads. visibility: None is ``public`` for who may operate, else ``private``;
        ``shared`` where tenants are named.

        Raises Forbidden for ``public`` without that scope, InvalidRequest where the two do not go together.
        """
        usual = "shared" if shared_with else "public" if "operate" in self.scopes else "private"
        chosen = visibility or usual
        if (chosen == "shared") != bool(shared_with):
            raise InvalidRequest(
                f"visibility is {chosen!r} and shared_with names {len(shared_with)} tenants; name tenants where it is "
                "'shared', and nowhere else",
                param="shared_with",
            )
        if chosen != "public":
            others = dict.fromkeys(tenant for tenant in shared_with if tenant != self.tenant)
            return Audience(self.tenant, tuple(others))
        if "operate" not in self.scopes:
            raise Forbidden(
                f"visibility is 'public'; {self._lacks('operate')}, without which an adapter is for its own tenant: "
                "send 'private', or 'shared' with the tenants in shared_with",
                param="visibility",
            )
        return PUBLIC

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless this principal has ``scope``."""
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"{self._lacks(scope)} (it has: {held}); use a key that has it: {_roles_with(scope)}")

    def require_priority(self, priority: int) -> None:
        """Raise Forbidden where ``priority`` is more urgent than this principal may ask for."""
        if priority < 0 and "operate" not in self.scopes:
            raise Forbidden(
                f"priority is {priority}; {self._lacks('operate')}, without which 0 is the most urgent: send 0 to 100",
                param="priority",
            )

    def _lacks(self, scope: Scope) -> str:
        return f"API key {self.key_id!r} lacks the scope {scope!r}"


def tenant_salt(tenant: str) -> bytes:
    """See `Principal.salt`."""
    return hashlib.sha256(b"adaptrix-tenant\0" + tenant.encode()).digest()


LOCAL = Principal("local", "local", ALL)
"""Everybody, on a server without keys."""


def _roles_with(scope: Scope) -> str:
    roles = [role for role, scopes in ROLES.items() if scope in scopes]
    return f"the roles {', '.join(roles)} do" if len(roles) > 1 else f"the role {roles[0]} does"
