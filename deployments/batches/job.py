"""One batch from its input to its files: checked, answered line by line, ended. Every step may be begun again.

What is on the disk says where to go on: a batch that is being validated is read from its first line again, one in
progress goes on with the lines that have no answer, one that was about to end ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from functools import partial

from adaptrix_core.errors import AdaptrixError, StorageFailed
from adaptrix_core.request_limits import MOST
from deployments.batches.answer_lines import answered, not_answered, refused, request_id
from deployments.batches.input_lines import CheckedLine, LineChecker, LineCutter, read_line
from deployments.batches.own_api import ApiAnswer, OwnApi
from deployments.batches.places import Places
from deployments.objects.batch import BatchFault, BatchRecord, Status
from deployments.objects.batch_ledger import BatchLedger
from deployments.objects.batch_lines import BatchLine, LineAnswer
from deployments.shared.errors import ObjectNotFound, QuotaFull

logger = logging.getLogger(__name__)

READ_BYTES = 256 << 10
"""Bytes of the input that are checked in one go, in a thread: some ten milliseconds."""
STORAGE_RETRY_S = 5.0
"""Seconds until a disk that failed is tried again."""
LONGEST_WAIT_S = 30.0
"""Longest wait, in seconds, before a line that was refused is tried again, whatever the refusal says."""
PATIENCE_S = 900.0
"""Seconds for which a line is tried again while parts of the server are missing; for a busy server it waits on."""
BUSY, MISSING = 429, 503
WHY_NOT = {
    "cancelled": ("batch_cancelled", "the batch was cancelled before this line was answered"),
    "expired": ("batch_expired", "the batch was not done in its time; send this line again"),
    "failed": ("batch_failed", "the batch has failed before this line was answered; its errors say why"),
}
"""Code and message of lines without an answer, by what has become of the batch."""


@dataclass(frozen=True)
class Workshop:
    """What all batches share."""

    ledger: BatchLedger
    api: OwnApi
    generating: Places
    """One for each row that is generated."""
    embedding: Places
    reading: Places
    """One for each batch whose input is read."""
    max_body_bytes: int


class Job:
    """The work on one batch."""

    def __init__(self, batch: BatchRecord, shop: Workshop) -> None:
        self._batch = batch
        self._shop = shop
        self._stopped = asyncio.Event()
        self._end: Status = "completed"
        self._faults: list[BatchFault] = []

    def stop(self, end: Status, *faults: BatchFault) -> None:
        """Answer no further lines; ``end`` is what becomes of the batch. The first reason holds."""
        if not self._stopped.is_set():
            self._end, self._faults = end, list(faults)
            self._stopped.set()

    async def run(self) -> None:
        """Work until the batch is over."""
        left_s = self._batch.expires_at - time.time()
        expiry = asyncio.get_running_loop().call_later(max(0.0, left_s), self.stop, "expired")
        try:
            await self._unless_stopped()
            await self._finish()
        finally:
            expiry.cancel()

    async def _unless_stopped(self) -> None:
        work, stopped = asyncio.create_task(self._work()), asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, stopped):
                task.cancel()
            results = await asyncio.gather(work, stopped, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _work(self) -> None:
        self._is_now(self._batch)
        if self._batch.status == "validating":
            taken = await self._shop.reading.take(self._batch.tenant, 1)
            try:
                await self._read_input()
            finally:
                self._shop.reading.give_back(self._batch.tenant, taken)
        if self._batch.status == "in_progress" and not self._stopped.is_set():
            await self._answer_all()

    def _is_now(self, batch: BatchRecord) -> None:
        """Note the batch as the ledger has it: meanwhile it may have been cancelled."""
        self._batch = batch
        if batch.status == "cancelling":
            self.stop("cancelled")

    async def _read_input(self) -> None:
        """Note where every line stands, and answer those that cannot be asked."""
        await self._shop.ledger.forget_lines(self._batch)
        cutter = LineCutter(self._shop.max_body_bytes)
        checker = LineChecker(self._batch.endpoint, self._shop.max_body_bytes)
        position = 0
        try:
            while data := await self._shop.ledger.read_input(self._batch, position, READ_BYTES):
                position += len(data)
                await self._note(await asyncio.to_thread(_checked, cutter, checker, data))
                if checker.number > MOST.batch_lines:
                    break
            await self._note([checker.check(raw) for raw in cutter.rest()])
        except (ObjectNotFound, QuotaFull, StorageFailed) as error:
            self._fail(error.code, error.message)
            return
        if checker.number > (most := MOST.batch_lines):
            self._fail("too_many_lines", f"the input has more than {most} lines; make several batches", most + 1)
            return
        if not checker.number:
            self._fail("empty_input", "the input has no lines; upload one with a request in each line")
            return
        self._is_now(await self._shop.ledger.become(self._batch, "in_progress"))

    def _fail(self, code: str, message: str, line: int | None = None) -> None:
        self.stop("failed", BatchFault(code, message, line))

    async def _note(self, lines: list[CheckedLine]) -> None:
        answers = [refused(self._batch, checked.line, checked.fault) for checked in lines if checked.fault is not None]
        await self._shop.ledger.add_lines(self._batch, [checked.line for checked in lines], answers)

    async def _answer_all(self) -> None:
        places = self._shop.embedding if self._batch.endpoint == "/v1/embeddings" else self._shop.generating
        last = -1
        async with asyncio.TaskGroup() as group:
            while lines := await self._shop.ledger.unanswered(self._batch, last):
                for line in lines:
                    body = await self._body_of(line)
                    taken = await places.take(self._batch.tenant, num_rows(body))
                    task = group.create_task(self._answer(line, body))
                    task.add_done_callback(partial(self._give_back, places, taken))
                last = lines[-1].number

    def _give_back(self, places: Places, taken: int, _: asyncio.Task[None]) -> None:
        places.give_back(self._batch.tenant, taken)

    async def _body_of(self, line: BatchLine) -> dict[str, object] | AdaptrixError:
        """What the line asks of the endpoint, or why it cannot be read any more."""
        data = b""
        try:
            while len(data) < line.length:
                data += await self._shop.ledger.read_input(self._batch, line.start + len(data), line.length - len(data))
            return (await asyncio.to_thread(read_line, data)).body
        except (StorageFailed, ObjectNotFound) as error:
            return error

    async def _answer(self, line: BatchLine, body: dict[str, object] | AdaptrixError) -> None:
        if isinstance(body, AdaptrixError):
            await self._write(refused(self._batch, line, body))
            return
        data = await asyncio.to_thread(lambda: json.dumps(body).encode())
        began = time.monotonic()
        while True:
            answer = await self._shop.api.ask(
                self._batch.tenant, self._batch.endpoint, data, request_id(self._batch, line)
            )
            if not _may_come_later(answer, time.monotonic() - began):
                break
            await asyncio.sleep(min(answer.retry_after_s or 1.0, LONGEST_WAIT_S))
        await self._write(answered(self._batch, line, answer))

    async def _write(self, answer: LineAnswer) -> None:
        """Write an answer down, however long the disk takes: it was worth its tokens."""
        while True:
            try:
                await self._shop.ledger.write_answer(self._batch, answer)
                return
            except QuotaFull as error:
                self._fail(error.code, error.message, answer.number + 1)
                return
            except (StorageFailed, OSError) as error:
                logger.error("an answer of %s cannot be written down yet: %s", self._batch.batch_id, error)
                await asyncio.sleep(STORAGE_RETRY_S)

    async def _finish(self) -> None:
        ledger = self._shop.ledger
        if self._batch.is_over:
            await ledger.clear(self._batch)
            return
        if self._end == "completed" and self._batch.status != "finalizing":
            self._is_now(await ledger.become(self._batch, "finalizing"))
        if "in_progress" not in self._batch.times:  # not all lines are known: none has been asked
            await ledger.forget_lines(self._batch)
        if self._end in WHY_NOT:
            code, message = WHY_NOT[self._end]
            await ledger.give_up(self._batch, lambda line: not_answered(self._batch, line, code, message))
        await ledger.finish(self._batch, self._end, self._faults)


def _checked(cutter: LineCutter, checker: LineChecker, data: bytes) -> list[CheckedLine]:
    return [checker.check(raw) for raw in cutter.take(data)]


def _may_come_later(answer: ApiAnswer, waited_s: float) -> bool:
    """Whether the same line may be answered later: the server is busy, or a part of it is missing for a while."""
    return answer.status == BUSY or (answer.status == MISSING and waited_s < PATIENCE_S)


def num_rows(body: dict[str, object] | AdaptrixError) -> int:
    """About how many rows a line makes in an engine; whatever is no good is refused by the endpoint."""
    if isinstance(body, AdaptrixError):
        return 1
    choices, prompts, options = body.get("n"), body.get("prompt"), body.get("adaptrix")
    rows = choices if isinstance(choices, int) and choices > 0 else 1
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        rows *= len(prompts)
    forks = options.get("fork") if isinstance(options, dict) else None
    return rows * (len(forks) if isinstance(forks, list) and forks else 1)
