"""What has changed in the keys file, as events: which key, whose, and what about it. Never a key, never a hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adaptrix_core.security.audit.record import AuditEvent
from deployments.callers.key_file import KeyRecord


def key_changes(before: Iterable[KeyRecord] | None, after: Iterable[KeyRecord]) -> list[AuditEvent]:
    """An event for each key that differs. before: None where nothing was known, so that all there is to say is how many
    there are."""
    now = {record.id: record for record in after}
    if before is None:
        return [AuditEvent("keys.read", "done", details={"keys": len(now)})]
    was = {record.id: record for record in before}
    return [
        *(_event("key.removed", was[key_id]) for key_id in was.keys() - now.keys()),
        *(_event("key.created", now[key_id]) for key_id in now.keys() - was.keys()),
        *(
            _event("key.changed", now[key_id], {"changed": ", ".join(_different(was[key_id], now[key_id]))})
            for key_id in was.keys() & now.keys()
            if was[key_id] != now[key_id]
        ),
    ]


def _event(action: str, record: KeyRecord, more: Mapping[str, str] | None = None) -> AuditEvent:
    details = {"tenant": record.tenant, "allows": ", ".join(sorted(record.principal.scopes)), **(more or {})}
    return AuditEvent(action, "done", target=record.id, details=details)


def _different(was: KeyRecord, now: KeyRecord) -> list[str]:
    fields = [name for name in KeyRecord.model_fields if getattr(was, name) != getattr(now, name)]
    return ["key" if name == "sha256" else name for name in fields]
