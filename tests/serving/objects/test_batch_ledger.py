"""The ledger of batches: each answer is written once, in order into files, and counted for its tenant exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.errors import Conflict, Overloaded
from adaptrix_core.request_limits import MOST
from deployments.objects.batch import BatchAsked, BatchRecord
from deployments.objects.batch_ledger import BatchLedger
from deployments.objects.batch_lines import ANSWERS_BYTES, BatchLine, LineAnswer
from deployments.objects.keeper import Keeper
from deployments.objects.records import ObjectKey
from deployments.objects.tenant_objects import TenantObjects
from deployments.shared.errors import QuotaFull

LINES = [BatchLine(number, 0, 1, f"q{number}") for number in range(40)]
INPUT = ObjectKey("ours", "file", "file-a")


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    made = Keeper(tmp_path, ObjectSettings(max_object_bytes=16 << 20, max_tenant_bytes=16 << 20))
    yield made
    await made.close()


async def a_batch(keeper: Keeper) -> tuple[BatchLedger, BatchRecord]:
    objects, ledger = TenantObjects(keeper), BatchLedger(keeper)
    upload = await objects.begin_upload("ours")
    await objects.add_to_upload(upload, b"x")
    await objects.finish_upload(upload, INPUT, b'{"filename": "a", "purpose": "batch"}')
    return ledger, await ledger.create_batch("ours", BatchAsked("/v1/completions", "file-a", "24h", 3600.0))


async def used(keeper: Keeper) -> int:
    return await keeper.do(lambda parts: sum(size for (size,) in parts.database.rows("SELECT size FROM usage")))


async def contents(keeper: Keeper, file_id: str | None) -> bytes:
    objects, key = TenantObjects(keeper), ObjectKey("ours", "file", str(file_id))
    data = b""
    while part := await objects.read_contents(key, len(data), 1 << 20):
        data += part
    return data


async def test_a_line_keeps_its_first_answer(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    await ledger.add_lines(batch, LINES[:1], [])
    await ledger.write_answer(batch, LineAnswer(0, "completed", b"first\n"))
    size = await used(keeper)
    await ledger.write_answer(batch, LineAnswer(0, "failed", b"a second one\n"))
    assert await used(keeper) == size
    await ledger.finish(batch, "completed")
    over = await ledger.get_batch("ours", batch.batch_id)
    assert (over.counts.total, over.counts.completed, over.counts.failed) == (1, 1, 0)
    assert await contents(keeper, over.output_file_id) == b"first\n"


async def test_answers_come_in_the_order_of_the_input_however_large_they_are(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    await ledger.add_lines(batch, LINES, [])
    answers = [
        f"{number}".encode() * (ANSWERS_BYTES // 7 if number % 5 else ANSWERS_BYTES // 2) for number in range(40)
    ]
    for number in reversed(range(40)):
        await ledger.write_answer(batch, LineAnswer(number, "completed", answers[number][: ANSWERS_BYTES // 3]))
    await ledger.finish(batch, "completed")
    over = await ledger.get_batch("ours", batch.batch_id)
    assert await contents(keeper, over.output_file_id) == b"".join(a[: ANSWERS_BYTES // 3] for a in answers)


async def test_a_tenant_that_deletes_all_has_all_of_its_room(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    await ledger.add_lines(batch, LINES, [LineAnswer(3, "failed", b"x" * 1000)])
    await ledger.write_answer(batch, LineAnswer(4, "completed", b"x" * 5000))
    before = await used(keeper)
    await ledger.give_up(batch, lambda line: LineAnswer(line.number, "failed", b"given up\n"))
    assert await used(keeper) == before  # they are not charged for
    await ledger.finish(batch, "cancelled")
    objects = TenantObjects(keeper)
    kept = await objects.get_object(ObjectKey("ours", "batch", batch.batch_id))
    assert kept.content_bytes == 0  # its files count from now on
    for file in (await objects.list_objects("ours", "file")).objects:
        await objects.delete_object(file.key)
    await objects.delete_object(ObjectKey("ours", "batch", batch.batch_id))
    assert await used(keeper) == 0
    assert await keeper.do(lambda parts: parts.database.rows("SELECT * FROM batch_lines")) == []


async def test_an_answer_that_is_over_the_quota_is_not_written(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    await ledger.add_lines(batch, LINES, [])
    with pytest.raises(QuotaFull):
        await ledger.write_answer(batch, LineAnswer(0, "completed", bytes(17 << 20)))
    assert [line.number for line in await ledger.unanswered(batch, -1)] == list(range(40))


async def test_what_happens_first_holds(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    cancelled, started = await asyncio.gather(
        ledger.cancel_batch("ours", batch.batch_id), ledger.become(batch, "in_progress")
    )
    assert (cancelled.status, started.status) == ("cancelling", "cancelling")
    await ledger.finish(started, "cancelled")
    with pytest.raises(Conflict):
        await ledger.cancel_batch("ours", batch.batch_id)


async def test_a_tenant_has_so_many_batches_at_a_time(keeper: Keeper) -> None:
    ledger, batch = await a_batch(keeper)
    asked = BatchAsked("/v1/completions", "file-a", "24h", 3600.0)
    for _ in range(MOST.running_batches - 1):
        await ledger.create_batch("ours", asked)
    with pytest.raises(Overloaded):
        await ledger.create_batch("ours", asked)
    await ledger.finish(batch, "cancelled")
    await ledger.create_batch("ours", asked)
