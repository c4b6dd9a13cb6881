"""A principal: a caller that was recognised, its tenant, and what it may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from adaptrix_core.errors import Forbidden
from deployments.callers.scopes import ALL, ROLES, Scope


@dataclass(frozen=True)
class Principal:
    """A caller that may use the server: its tenant and scopes."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]

    @property
    def salt(self) -> bytes:
        """Salt of this tenant's cache keys, which keeps its cached prompts apart from those of other tenants."""
        return hashlib.sha256(b"adaptrix-tenant\0" + self.tenant.encode()).digest()

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


LOCAL = Principal("local", "local", ALL)
"""Everybody, on a server without keys."""


def _roles_with(scope: Scope) -> str:
    roles = [role for role, scopes in ROLES.items() if scope in scopes]
    return f"the roles {', '.join(roles)} do" if len(roles) > 1 else f"the role {roles[0]} does"
