"""The keeper of the audit log as an actor of a real Ray: many processes, one chain; killed, it goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import ray

from adaptrix_core.config import Settings, load_settings
from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit.reading import records_of
from adaptrix_core.security.audit.record import AuditEvent
from adaptrix_core.security.audit.shipping import notes_from
from adaptrix_core.security.audit.signing_key import public_key_of, read_public_key
from adaptrix_core.security.audit.verification import Verified, verify_log
from deployments.audit.handle import KEEPER_NAME, HandleAudit
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EACH = 20


@pytest.fixture
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, namespace="tests", log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def settings_in(root: Path, **more: object) -> Settings:
    return load_settings({"audit": {"dir": str(root / "audit"), "key_file": str(root / "audit.key"), **more}})


def verified(root: Path) -> Verified:
    return verify_log(root / "audit", [read_public_key(public_key_of(root / "audit.key"))])


def targets(root: Path) -> list[str]:
    return [record.target for record in records_of(root / "audit") if record.action == "test.done"]


def done(target: str) -> list[AuditEvent]:
    return [AuditEvent("test.done", "done", target=target)]


async def test_many_write_one_chain_and_a_killed_keeper_goes_on_with_it(cluster: None, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    handles = [HandleAudit(settings, "tests") for _ in range(3)]
    await asyncio.gather(*(handle.open() for handle in handles))

    async def write(number: int, part: str) -> None:
        for index in range(EACH):
            await handles[number].record(done(f"{part}/{number}/{index}"), is_urgent=index % 2 == 0)

    await asyncio.gather(*(write(number, "before") for number in range(3)))
    assert sorted(targets(tmp_path)) == sorted(f"before/{n}/{i}" for n in range(3) for i in range(EACH))
    ray.kill(ray.get_actor(KEEPER_NAME, namespace="tests"), no_restart=False)
    await asyncio.gather(*(write(number, "after") for number in range(3)))
    there = set(targets(tmp_path))
    assert {f"after/{n}/{i}" for n in range(3) for i in range(EACH)} <= there
    assert verified(tmp_path).size == len(list(records_of(tmp_path / "audit")))
    starts = [record for record in records_of(tmp_path / "audit") if record.action == "server.started"]
    assert len(starts) >= 1
    # Other settings: another keeper takes the log over.
    other = HandleAudit(settings_in(tmp_path, checkpoint_s=5), "tests")
    await other.record(done("other"), is_urgent=True)
    assert targets(tmp_path)[-1] == "other"
    assert verified(tmp_path).half_written is None


async def test_a_log_that_cannot_be_written_is_said_to_be_across_processes(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        await HandleAudit(settings_in(tmp_path), "tests").record(done("x"), is_urgent=True)


def test_a_served_system_records_and_ships_what_administrators_do(server: Server, world: World) -> None:
    answer = httpx.post(f"{server.url}/v1/unload_lora_adapter", json={"lora_name": "nobody"}, timeout=60)
    assert answer.status_code == 404
    told = [record for record in records_of(world.root / "audit") if record.target == "nobody"]
    assert [record.outcome for record in told] == ["asked", "failed"]
    assert verified(world.root).first_seq == 0
    assert [note for note in notes_from(world.root / "cluster-log.jsonl") if note.startswith("adaptrix/audit/")]
