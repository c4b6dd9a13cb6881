"""An action is recorded before it is done, or not done; what was refused is recorded, of a flood its number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adaptrix_core.errors import AuditUnavailable, Conflict, Forbidden
from adaptrix_core.security.audit.chain import DROPPED
from adaptrix_core.security.audit.record import Actor, AuditEvent
from deployments.audit import flood_gate, trail
from deployments.audit.followed_keys import FollowedKeys
from deployments.audit.trail import AuditTrail
from deployments.callers.key_changes import changed, created, rotated
from deployments.callers.key_file import change_keys

LOAD = AuditEvent("adapter.load", "done", Actor(tenant="t", key_id="k"), "math", request_id="r")


class Sink:
    """Keeps what is recorded; refuses as it is told."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.urgent: list[bool] = []
        self.fault: Exception | None = None

    async def record(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        if self.fault is not None:
            raise self.fault
        self.events += events
        self.urgent += [is_urgent] * len(events)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event.action, event.outcome) for event in self.events]


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def test_what_is_done_is_recorded_before_and_after(sink: Sink) -> None:
    async with AuditTrail(sink).administered(LOAD) as act:
        assert sink.told == [("adapter.load", "asked")]
        act.package_digest, act.details["loaded"] = "ab", "math@1.0.0"
    assert sink.told == [("adapter.load", "asked"), ("adapter.load", "done")]
    assert sink.urgent == [True, True]
    done = sink.events[1]
    assert (done.package_digest, done.details, done.actor, done.request_id) == (
        "ab",
        {"loaded": "math@1.0.0"},
        LOAD.actor,
        "r",
    )


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (Conflict("no", code="version_conflict"), "failed", "version_conflict"),
        (Forbidden("no", code="path_outside_roots"), "refused", "path_outside_roots"),
        (OSError("disk"), "failed", "OSError"),
    ],
)
async def test_what_fails_is_recorded_with_its_code(sink: Sink, fault: Exception, outcome: str, code: str) -> None:
    with pytest.raises(type(fault)):
        async with AuditTrail(sink).administered(LOAD):
            raise fault
    assert sink.told[-1] == ("adapter.load", outcome)
    assert sink.events[-1].details["error"] == code


@pytest.mark.parametrize("fault", [AuditUnavailable("/secret/place is full"), TimeoutError(), RuntimeError("gone")])
async def test_what_cannot_be_recorded_is_not_done(sink: Sink, fault: Exception) -> None:
    sink.fault = fault
    was_done = False
    with pytest.raises(AuditUnavailable) as refused:
        async with AuditTrail(sink).administered(LOAD):
            was_done = True
    assert not was_done
    assert "secret" not in refused.value.message  # callers do not learn where the log is


async def test_what_was_done_stays_done_when_its_outcome_cannot_be_recorded(sink: Sink) -> None:
    audit = AuditTrail(sink)
    async with audit.administered(LOAD):
        sink.fault = RuntimeError("gone")
    sink.fault = None
    await audit.flush()
    assert sink.told == [("adapter.load", "asked"), (DROPPED, "noted")]


async def test_a_client_that_leaves_is_recorded(sink: Sink) -> None:
    audit, begun = AuditTrail(sink), asyncio.Event()

    async def act() -> None:
        async with audit.administered(LOAD):
            begun.set()
            await asyncio.Event().wait()

    acting = asyncio.create_task(act())
    await begun.wait()
    acting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acting
    await audit.flush()
    assert sink.events[-1].details["error"] == "client_left"


async def test_of_a_flood_some_are_recorded_and_the_number_of_the_others(sink: Sink) -> None:
    clock = [0.0]
    audit = AuditTrail(sink, lambda: clock[0])
    for _ in range(10_000):
        audit.note(AuditEvent("caller.unknown", "refused"))
    audit.note(AuditEvent("caller.denied", "refused"))  # another kind, which the flood does not hide
    await audit.flush()
    assert sink.told == [("caller.unknown", "refused")] * flood_gate.MOST + [("caller.denied", "refused")]
    sink.events.clear()
    clock[0] = flood_gate.PERIOD_S
    await audit.flush()
    assert [event.details["events"] for event in sink.events] == [10_000 - flood_gate.MOST]
    audit.note(AuditEvent("caller.unknown", "refused"))
    await audit.flush()
    assert len(sink.events) == 2


async def test_events_that_cannot_be_sent_are_counted_once_they_can(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MOST_KEPT", 3)
    audit = AuditTrail(sink)
    for number in range(5):
        audit.note(AuditEvent(f"kind.{number}", "refused"))  # two give way
    sink.fault = RuntimeError("gone")
    await audit.flush()
    await audit.flush()
    sink.fault = None
    await audit.flush()
    assert [(event.action, event.details["events"]) for event in sink.events] == [(DROPPED, 5)]


async def test_without_a_log_everything_is_done_and_nothing_kept() -> None:
    audit = AuditTrail()
    async with audit.administered(LOAD) as act:
        act.details["x"] = 1
    audit.note(LOAD)
    assert await audit.flush() > 0


async def test_changes_of_keys_are_recorded_once_without_a_key_or_a_hash(sink: Sink, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = [change_keys(path, lambda records: created(records, "ci", "team-a", ["user"], None))[1]]
    keys = FollowedKeys(path, sink.record)
    await keys.look()
    assert sink.told == [("keys.read", "done")]
    made.append(change_keys(path, lambda records: created(records, "ops", "team-b", ["operator"], None))[1])
    sink.fault = AuditUnavailable("full")
    await keys.look()
    sink.fault = None
    await keys.look()
    await keys.look()
    assert [(event.action, event.target) for event in sink.events[1:]] == [("key.created", "ops")]
    made.append(change_keys(path, lambda records: rotated(records, "ci", datetime(2999, 1, 1, tzinfo=UTC)))[1])
    change_keys(path, lambda records: (changed(records, "ops", disabled=True), None))
    await keys.look()
    told = {event.target: event.details["changed"] for event in sink.events[2:]}
    assert told == {"ci": "key, former", "ops": "disabled"}
    change_keys(path, lambda records: (records[:1], None))
    await keys.look()
    assert (sink.events[-1].action, sink.events[-1].target) == ("key.removed", "ops")
    everything = repr(sink.events)
    assert not any(key in everything for key in made)
    assert "sha256" not in everything
