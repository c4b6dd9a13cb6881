"""Batches that are cut short: cancelled, restarted, late, over a quota. No answer is lost or given twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.errors import Overloaded
from deployments.batches import job
from deployments.generation.ports import PieceStream, Replicas
from deployments.objects.batch import BatchAsked, BatchRecord
from deployments.objects.batch_ledger import WINDOW_S, BatchLedger
from deployments.objects.batch_lines import BatchLine, LineAnswer
from deployments.objects.keeper import Keeper
from deployments.objects.records import ObjectKey
from deployments.objects.tenant_objects import TenantObjects
from deployments.shared.wire import GenerateCall
from tests.serving.batches.lines import CHAT, chat_line, ended, names, outcome, read, submit
from tests.serving.batches.worlds import Tenants, two_tenants
from tests.serving.conftest import eventually
from tests.serving.inprocess import LocalStore
from tests.serving.tiny import World

LINES = [chat_line(f"q{number}", f"What is {number} + 1?") for number in range(20)]


class Gate:
    """The replicas, which answer so many calls and then keep all others waiting."""

    def __init__(self, replicas: Replicas, open_for: int) -> None:
        self._replicas = replicas
        self._left = open_for
        self.asked: list[str] = []
        self.waiting = 0

    def generate(self, call: GenerateCall) -> PieceStream:
        self.asked.append(str(call.prompt))
        return self._stream(call)

    async def _stream(self, call: GenerateCall) -> Any:
        if self._left <= 0:
            self.waiting += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.waiting -= 1
        self._left -= 1
        async for pieces in self._replicas.generate(call):
            yield pieces


@asynccontextmanager
async def serving(
    world: World, directory: Path, open_for: int = 1000, **sections: dict[str, object]
) -> AsyncIterator[tuple[Tenants, Gate]]:
    gates: list[Gate] = []

    def gated(store: LocalStore) -> Replicas:
        gates.append(Gate(store.worker, open_for))
        return gates[0]

    async with two_tenants(world, directory, gated, batches={"rows_at_once": 3}, **sections) as tenants:
        yield tenants, gates[0]


async def answered(tenants: Tenants, batch: openai.types.Batch, number: int) -> None:
    """Wait until so many lines of a batch are answered."""

    async def are() -> bool:
        return (await tenants.ours.batches.retrieve(batch.id)).request_counts.completed == number

    await eventually(are)


async def test_a_batch_cancelled_in_the_middle_keeps_its_answers(world: World, tmp_path: Path) -> None:
    async with serving(world, tmp_path, open_for=7) as (tenants, gate):
        made = await submit(tenants.ours, LINES)
        await answered(tenants, made, 7)
        await eventually(lambda: gate.waiting == 3)
        said = await tenants.ours.batches.cancel(made.id)
        assert said.status == "cancelling"
        batch = await ended(tenants.ours, made)
        assert gate.waiting == 0  # what ran was aborted
        assert batch.status == "cancelled"
        assert batch.cancelling_at <= batch.cancelled_at
        assert (batch.request_counts.completed, batch.request_counts.failed) == (7, 13)
        assert names(await read(tenants.ours, batch.output_file_id)) == [f"q{number}" for number in range(7)]
        errors = await read(tenants.ours, batch.error_file_id)
        assert names(errors) == [f"q{number}" for number in range(7, 20)]
        assert {error["error"]["code"] for error in errors} == {"batch_cancelled"}
        with pytest.raises(openai.ConflictError):
            await tenants.ours.batches.cancel(made.id)


async def test_a_batch_goes_on_where_a_restart_has_left_it(world: World, tmp_path: Path) -> None:
    async with serving(world, tmp_path, open_for=8) as (tenants, before):
        made = await submit(tenants.ours, LINES)
        await answered(tenants, made, 8)
        done = before.asked[:8]
    async with serving(world, tmp_path) as (tenants, after):
        batch = await ended(tenants.ours, made)
        assert (batch.status, batch.request_counts.completed) == ("completed", 20)
        assert names(await read(tenants.ours, batch.output_file_id)) == [f"q{number}" for number in range(20)]
        assert len(after.asked) == 12
        assert not set(done) & set(after.asked)  # what was answered is not asked again


async def test_a_cancel_is_not_forgotten_over_a_restart(world: World, tmp_path: Path) -> None:
    async with kept(tmp_path) as (objects, ledger):
        batch = await a_batch(objects, ledger, LINES)
        await ledger.cancel_batch("ours", batch.batch_id)
    async with serving(world, tmp_path) as (tenants, gate):
        assert (await ended(tenants.ours, await tenants.ours.batches.retrieve(batch.batch_id))).status == "cancelled"
        assert gate.asked == []


async def test_a_batch_whose_tenant_has_lost_its_keys_ends(world: World, tmp_path: Path) -> None:
    async with kept(tmp_path) as (objects, ledger):
        batch = await a_batch(objects, ledger, LINES, "gone")
    async with serving(world, tmp_path) as (tenants, gate):

        async def is_over() -> bool:
            return (await tenants.store.batches.get_batch("gone", batch.batch_id)).is_over

        await eventually(is_over)
        over = await tenants.store.batches.get_batch("gone", batch.batch_id)
        assert (over.status, [fault.code for fault in over.faults]) == ("failed", ["invalid_api_key"])
        assert gate.asked == []


@asynccontextmanager
async def kept(directory: Path) -> AsyncIterator[tuple[TenantObjects, BatchLedger]]:
    """The store as a process has it that will be killed: nobody works on batches."""
    keeper = Keeper(directory / "state", ObjectSettings())
    yield TenantObjects(keeper), BatchLedger(keeper)
    await keeper.close()


async def a_batch(objects: TenantObjects, ledger: BatchLedger, lines: list[str], tenant: str = "ours") -> BatchRecord:
    upload = await objects.begin_upload(tenant)
    await objects.add_to_upload(upload, "\n".join(lines).encode())
    key = ObjectKey(tenant, "file", "file-a")
    await objects.finish_upload(upload, key, b'{"filename": "a", "purpose": "batch"}')
    return await ledger.create_batch(tenant, BatchAsked(CHAT, "file-a", "24h", 10**6))


async def test_what_was_read_of_an_input_before_a_kill_is_read_again(world: World, tmp_path: Path) -> None:
    async with kept(tmp_path) as (objects, ledger):
        batch = await a_batch(objects, ledger, LINES[:3])
        stale = [BatchLine(number, 0, 1, f"stale{number}") for number in range(50)]
        await ledger.add_lines(batch, stale, [LineAnswer(7, "failed", b"{}\n")])
    async with serving(world, tmp_path) as (tenants, _):
        over = await ended(tenants.ours, await tenants.ours.batches.retrieve(batch.batch_id))
        assert (over.request_counts.total, over.request_counts.failed) == (3, 0)
        assert names(await read(tenants.ours, over.output_file_id)) == ["q0", "q1", "q2"]


@pytest.mark.parametrize("ended_already", [False, True])
async def test_a_batch_killed_at_its_end_ends_once(world: World, tmp_path: Path, ended_already: bool) -> None:
    async with kept(tmp_path) as (objects, ledger):
        batch = await a_batch(objects, ledger, LINES[:2])
        lines = [BatchLine(number, 0, 1, f"q{number}") for number in range(2)]
        answers = [LineAnswer(number, "completed", b'{"custom_id": "q%d"}\n' % number) for number in range(2)]
        await ledger.add_lines(batch, lines, answers)
        batch = await ledger.become(await ledger.become(batch, "in_progress"), "finalizing")
        if ended_already:  # all but what is forgotten at the very end

            async def killed(batch: BatchRecord) -> None:
                raise KeyboardInterrupt

            ledger.clear = killed  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                await ledger.finish(batch, "completed")
    async with serving(world, tmp_path) as (tenants, gate):
        over = await ended(tenants.ours, await tenants.ours.batches.retrieve(batch.batch_id))
        assert (over.status, over.request_counts.completed, gate.asked) == ("completed", 2, [])
        assert names(await read(tenants.ours, over.output_file_id)) == ["q0", "q1"]

        async def can_be_deleted() -> bool:
            try:
                return (await tenants.ours.files.delete("file-a")).deleted
            except openai.ConflictError:
                return False

        await eventually(can_be_deleted)
        assert Counter([file.purpose async for file in tenants.ours.files.list()]) == {"batch_output": 1}


async def test_what_is_not_answered_in_time_is_said_and_the_answers_are_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(world, tmp_path, open_for=4) as (tenants, _):
        made = await submit(tenants.ours, LINES)
        await answered(tenants, made, 4)
    a_day_later = SimpleNamespace(time=lambda: time.time() + WINDOW_S, monotonic=time.monotonic)
    monkeypatch.setattr(job, "time", a_day_later)
    async with serving(world, tmp_path) as (tenants, gate):
        over = await ended(tenants.ours, made)
        assert (over.status, over.request_counts.completed, over.request_counts.failed) == ("expired", 4, 16)
        assert over.expired_at is not None
        assert names(await read(tenants.ours, over.output_file_id)) == [f"q{number}" for number in range(4)]
        errors = await read(tenants.ours, over.error_file_id)
        assert {error["error"]["code"] for error in errors} == {"batch_expired"}
        assert len(gate.asked) <= 3  # what had just begun


async def test_answers_over_the_quota_fail_the_batch_and_those_that_fit_are_kept(world: World, tmp_path: Path) -> None:
    quota = {"max_object_bytes": "12KiB", "max_tenant_bytes": "12KiB"}
    async with serving(world, tmp_path, objects=quota) as (tenants, _):
        batch, answers, errors = await outcome(tenants.ours, LINES)
        assert batch.status == "failed"
        assert [fault.code for fault in batch.errors.data] == ["quota_full"]
        assert 0 < len(answers) < 20
        assert sorted(names(answers) + names(errors)) == sorted(f"q{number}" for number in range(20))
        # Others are not concerned, and a tenant that tidies up can go on.
        assert (await outcome(tenants.theirs, LINES[:3]))[0].status == "completed"
        async for file in tenants.ours.files.list():
            await tenants.ours.files.delete(file.id)
        assert (await outcome(tenants.ours, LINES[:3]))[0].status == "completed"


async def test_a_file_that_a_batch_reads_is_not_deleted(world: World, tmp_path: Path) -> None:
    async with serving(world, tmp_path, open_for=2) as (tenants, _):
        made = await submit(tenants.ours, LINES)
        await answered(tenants, made, 2)
        with pytest.raises(openai.ConflictError) as told:
            await tenants.ours.files.delete(made.input_file_id)
        assert told.value.code == "file_in_use"
        await tenants.ours.batches.cancel(made.id)
        await ended(tenants.ours, made)


class Busy:
    """Replicas that refuse each call a few times before they take it."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.refusals: Counter[str] = Counter()

    def generate(self, call: GenerateCall) -> PieceStream:
        return self._stream(call)

    async def _stream(self, call: GenerateCall) -> Any:
        self.refusals[str(call.prompt)] += 1
        if self.refusals[str(call.prompt)] <= 2:
            raise Overloaded("full", retry_after_s=0.1)
        async for pieces in self._replicas.generate(call):
            yield pieces


async def test_lines_that_a_busy_server_refuses_are_answered_later(world: World, tmp_path: Path) -> None:
    async with two_tenants(world, tmp_path, lambda store: Busy(store.worker)) as tenants:
        batch, answers, errors = await outcome(tenants.ours, LINES[:4])
        assert (batch.status, len(answers), errors) == ("completed", 4, [])


async def test_batches_of_one_tenant_do_not_hold_up_anothers(world: World, tmp_path: Path) -> None:
    async with serving(world, tmp_path) as (tenants, gate):
        many = [chat_line(f"q{number}", f"What is {number}?", max_tokens=40) for number in range(120)]
        first = await submit(tenants.ours, many)
        await answered(tenants, first, 3)
        batch, answers, _ = await outcome(tenants.theirs, LINES[:4])
        assert (batch.status, len(answers)) == ("completed", 4)
        assert (await tenants.ours.batches.retrieve(first.id)).status == "in_progress"
        assert len(gate.asked) < 120
        await tenants.ours.batches.cancel(first.id)
        await ended(tenants.ours, first)
