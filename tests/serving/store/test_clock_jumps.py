"""A wall clock that jumps changes nothing: what is live stays live, leases end when they would have, waits go on."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from deployments.shared.wire import Report
from deployments.store.replica_reports import Presence
from tests.serving.inprocess import running
from tests.serving.tiny import World

TEN_YEARS = 10 * 365 * 86400.0
PROJECT = Path(__file__).resolve().parents[3]

STAMPS = {
    "deployments/store/package_files.py": 1,  # when an adapter was loaded, for people
    "deployments/generation/start.py": 1,  # `created` of OpenAI's answers
    "deployments/http/keys/tenant_keys.py": 2,  # until when a rotated key works, and whether a key does, by its date
    "deployments/responses/answer.py": 1,  # `completed_at` of a response
    "deployments/responses/conversations.py": 1,  # `created_at` of a conversation
    "adaptrix_core/context/memory/conversation.py": 2,  # when a turn was said, and its age
    "deployments/batches/job.py": 1,  # what is left of a batch's day, which goes on while the server is down
    "deployments/http/observe/request_watch.py": 1,  # when a request ended, for the tracker
    "deployments/http/usage/question.py": 1,  # the day before now, of which usage is told
    "deployments/http/observe/replica_metrics.py": 1,  # vllm:lora_requests_info, whose value is a time
    "adaptrix_core/engine/rows/row.py": 1,  # when a row arrived, for traces
    "adaptrix_core/routing/calibrate.py": 1,  # the date in a calibration file
    "adaptrix_core/adapters/package/metadata.py": 1,  # created_date
}
"""Where the wall clock is read: to write a time down; to wait or to compare only for what outlasts processes."""


@pytest.fixture(params=[TEN_YEARS, -TEN_YEARS], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the wall clock jump when it is called."""
    real = time.time

    def now() -> None:
        monkeypatch.setattr(time, "time", lambda: real() + request.param)

    return now


async def test_replicas_do_not_die_or_live_on_by_the_wall_clock(
    jump: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = Presence()
    await presence.note_report(Report("a", "base", 100, ""))
    jump()
    assert [report.replica_id for report in presence.live()] == ["a"]
    waiting = asyncio.create_task(presence.until(lambda: len(presence.live()) == 2, 60.0))
    await asyncio.sleep(0)
    await presence.note_report(Report("b", "base", 100, ""))
    assert await waiting
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert presence.live() == [], "silence is measured by a clock that does not jump"


async def test_a_server_serves_and_revokes_through_a_jump(
    jump: Callable[[], None], world: World, tmp_path: Path
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, store):
        body = {"model": "math_reasoning", "prompt": "one", "max_tokens": 4, "temperature": 0}
        before = await http.post("/v1/completions", json=body)
        lease = store.worker.lease
        confirmed_at = lease._confirmed_at
        jump()
        after = await http.post("/v1/completions", json=body)
        assert after.json()["choices"] == before.json()["choices"]
        await store.revocations.refresh()
        assert confirmed_at <= lease._confirmed_at < confirmed_at + 3600, "the lease was moved by the wall clock"
        package = after.headers["x-adaptrix-digest"]
        await store.revoke(sign_list(RevocationList(1, {package: "bad"}), world.private_key))
        refused = await http.post("/v1/completions", json=body)
        assert refused.json()["error"]["code"] == "adapter_revoked"


def test_the_wall_clock_is_read_only_to_write_times_down() -> None:
    found = {}
    for directory in ("deployments", "adaptrix_core"):
        for file in sorted((PROJECT / directory).rglob("*.py")):
            name = str(file.relative_to(PROJECT))
            if name.startswith(("adaptrix_core/cli/", "adaptrix_core/training/")):
                continue
            count = len(re.findall(r"\btime\.time\(|\bdatetime\.now\(|\butcnow\(", file.read_text(encoding="utf-8")))
            if count:
                found[name] = count
    assert found == STAMPS
