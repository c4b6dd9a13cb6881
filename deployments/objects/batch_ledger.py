"""The ledger of batches: what is asked of the server, how far it is, and every answer, written once.

Two sides use it. Endpoints make batches, look at them and cancel them (`http/services.py` has these methods as a
protocol). The runner (`batches/runner.py`) reads what is to be done and writes down what was: whatever has been
written survives the process, and what was not yet is done again. Whatever is long is done in steps, between which the
store serves others.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adaptrix_core.errors import Conflict, InvalidRequest, Overloaded
from adaptrix_core.request_limits import MOST
from deployments.objects.batch import BatchAsked, BatchFault, BatchPage, BatchRecord, Status
from deployments.objects.batch_lines import LINE_BYTES, BatchLine, LineAnswer, Outcome
from deployments.objects.keeper import Keeper, Parts
from deployments.objects.records import ObjectKey, StoredObject

WINDOW_S = 24 * 3600
"""Seconds in which a batch has to be done: the one window that OpenAI has."""


class BatchLedger:
    """The batches of all tenants."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._on_change: Callable[[], None] = _nobody
        self._written: Counter[Outcome] = Counter()

    def tell(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` whenever a batch was made or cancelled."""
        self._on_change = on_change

    async def create_batch(self, tenant: str, asked: BatchAsked) -> BatchRecord:
        """A new batch. Raises ObjectNotFound, InvalidRequest, Overloaded, QuotaFull."""
        made = await self._keeper.do(lambda parts: self._create(parts, tenant, asked))
        self._on_change()
        return made

    async def get_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """The batch, as far as it is now. Raises ObjectNotFound."""
        return await self._keeper.do(lambda parts: _counted(parts, _read(parts, tenant, batch_id)))

    async def list_batches(self, tenant: str, after: str | None, limit: int) -> BatchPage:
        """The tenant's batches, the newest first, those behind the id ``after``. Raises ObjectNotFound."""

        def page(parts: Parts) -> BatchPage:
            found = parts.table.page(tenant, "batch", after, limit, newest_first=True)
            batches = [_counted(parts, BatchRecord.from_json(stored.document)) for stored in found.objects]
            return BatchPage(tuple(batches), found.has_more)

        return await self._keeper.do(page)

    async def cancel_batch(self, tenant: str, batch_id: str) -> BatchRecord:
        """Ask for its end; what is answered by then is kept. Raises ObjectNotFound, and Conflict once it is over."""

        def cancel(parts: Parts) -> BatchRecord:
            batch = _read(parts, tenant, batch_id)
            if batch.is_over or batch.status == "finalizing":
                raise Conflict(f"the batch {batch_id} is {batch.status}: there is nothing to cancel any more")
            if batch.status != "cancelling":
                batch = _write(parts, batch.became("cancelling", self._keeper.now()))
            return _counted(parts, batch)

        cancelled = await self._keeper.do(cancel)
        self._on_change()
        return cancelled

    async def lines_written(self) -> dict[str, int]:
        """How many answers have been written down since the process began, by outcome."""
        return {"completed": self._written["completed"], "failed": self._written["failed"]}

    async def running(self) -> list[BatchRecord]:
        """All batches that are to be worked on."""
        return await self._keeper.do(
            lambda parts: [_read(parts, tenant, batch_id) for batch_id, tenant in parts.lines.running()]
        )

    async def become(self, batch: BatchRecord, status: Status) -> BatchRecord:
        """Give a batch its next status, unless something else has happened to it; the batch as it is then."""

        def change(parts: Parts) -> BatchRecord:
            now = _read(parts, batch.tenant, batch.batch_id)
            return _write(parts, now.became(status, self._keeper.now())) if now.status == batch.status else now

        return await self._keeper.do(change)

    async def read_input(self, batch: BatchRecord, start: int, length: int) -> bytes:
        """A part of the input, shorter where it ends or where it is much. Raises StorageFailed, ObjectNotFound."""
        key = ObjectKey(batch.tenant, "file", batch.input_file_id)
        return await self._keeper.do(lambda parts: parts.table.read(key, start, length))

    async def forget_lines(self, batch: BatchRecord) -> None:
        """Forget all lines and their answers."""
        while await self._keeper.do(lambda parts: parts.lines.delete_some(batch.batch_id)):
            pass

    async def add_lines(self, batch: BatchRecord, lines: Sequence[BatchLine], answers: Sequence[LineAnswer]) -> None:
        """Note lines of the input, and answers to those that can have no other. Raises QuotaFull."""

        def add(parts: Parts) -> None:
            with parts.database.transaction():
                parts.table.charge(_key(batch), LINE_BYTES * len(lines) + sum(len(answer.data) for answer in answers))
                parts.lines.add(batch.batch_id, lines)
                for answer in answers:
                    parts.lines.answer(batch.batch_id, answer)
            self._written["failed"] += len(answers)

        await self._keeper.do(add)

    async def unanswered(self, batch: BatchRecord, after: int) -> list[BatchLine]:
        """Some of the lines behind number ``after`` that have no answer, in order."""
        return await self._keeper.do(lambda parts: parts.lines.unanswered(batch.batch_id, after))

    async def write_answer(self, batch: BatchRecord, answer: LineAnswer) -> None:
        """Write the answer to a line down; a line that has one keeps it. Raises QuotaFull, StorageFailed."""

        def write(parts: Parts) -> None:
            with parts.database.transaction():
                is_new = parts.lines.answer(batch.batch_id, answer)
                if is_new:
                    parts.table.charge(_key(batch), len(answer.data))
            self._written[answer.outcome] += is_new

        await self._keeper.do(write)

    async def give_up(self, batch: BatchRecord, answer_to: Callable[[BatchLine], LineAnswer]) -> None:
        """Write an answer down for every line that has none, whatever the quota says: they are short."""

        def some(parts: Parts) -> int:
            lines = parts.lines.unanswered(batch.batch_id, -1)
            with parts.database.transaction():
                for line in lines:
                    parts.lines.answer(batch.batch_id, answer_to(line))
            self._written["failed"] += len(lines)
            return len(lines)

        while await self._keeper.do(some):
            pass

    async def finish(self, batch: BatchRecord, status: Status, faults: Sequence[BatchFault] = ()) -> None:
        """Put the answers into files, in the order of the input, and end the batch. May be begun again at any point."""
        output = await self._write_file(batch, "completed")
        error = await self._write_file(batch, "failed")
        await self._keeper.do(lambda parts: self._end(parts, batch, status, tuple(faults), output, error))
        await self.clear(batch)

    async def clear(self, batch: BatchRecord) -> None:
        """Forget what only a batch that runs needs."""
        await self.forget_lines(batch)
        await self._keeper.do(lambda parts: parts.lines.note_over(batch.batch_id))

    async def _write_file(self, batch: BatchRecord, outcome: Outcome) -> _Answers | None:
        """New contents that hold the answers of one kind; None where there are none."""
        written = _Answers(await self._keeper.do(lambda parts: parts.files.begin()))

        def some(parts: Parts) -> bool:
            answers = parts.lines.answers(batch.batch_id, outcome, written.last)
            if answers:
                data = b"".join(answer.data for answer in answers)
                parts.files.append(written.content, data)
                written.size += len(data)
                written.last = answers[-1].number
            return bool(answers)

        def end(parts: Parts) -> _Answers | None:
            if written.size:
                parts.files.finish(written.content)
                return written
            parts.files.drop(written.content)
            return None

        while await self._keeper.do(some):
            pass
        return await self._keeper.do(end)

    def _create(self, parts: Parts, tenant: str, asked: BatchAsked) -> BatchRecord:
        file = ObjectKey(tenant, "file", asked.input_file_id)
        if (purpose := json.loads(parts.table.get(file).document)["purpose"]) != "batch":
            raise InvalidRequest(
                f"the file {asked.input_file_id} has the purpose {purpose!r}; upload one with the purpose 'batch'",
                param="input_file_id",
            )
        if parts.lines.num_running(tenant) >= MOST.running_batches:
            raise Overloaded(f"{MOST.running_batches} batches of this tenant are not over; wait for one, or cancel it")
        now = int(self._keeper.now())
        batch = BatchRecord(
            f"batch_{secrets.token_hex(16)}",
            tenant,
            asked.endpoint,
            asked.input_file_id,
            asked.completion_window,
            now,
            now + WINDOW_S,
            asked.output_ttl_s,
            asked.metadata,
        )
        document = batch.to_json()
        kept_until = now + WINDOW_S + int(asked.output_ttl_s)
        with parts.database.transaction():
            parts.table.require_room(tenant, 2 * len(document))
            parts.table.insert(StoredObject(_key(batch), document, now, kept_until, 0))
            parts.table.keep_until(file, batch.expires_at + WINDOW_S)
            parts.lines.note_running(batch.batch_id, tenant, asked.input_file_id)
        return batch

    def _end(
        self,
        parts: Parts,
        batch: BatchRecord,
        status: Status,
        faults: tuple[BatchFault, ...],
        output: _Answers | None,
        error: _Answers | None,
    ) -> None:
        now = int(self._keeper.now())
        expires = now + int(batch.output_ttl_s)
        ended = _counted(parts, _read(parts, batch.tenant, batch.batch_id)).became(status, now)
        with parts.database.transaction():
            files: dict[str, str] = {}
            for answers, what in ((output, "output"), (error, "error")):
                if answers is not None:
                    name = f"{batch.batch_id}_{what}.jsonl"
                    document = json.dumps({"filename": name, "purpose": "batch_output"}).encode()
                    key = ObjectKey(batch.tenant, "file", f"file-{secrets.token_hex(16)}")
                    parts.table.insert(StoredObject(key, document, now, expires, answers.size), answers.content)
                    files[what] = key.object_id
            ended = replace(ended, faults=faults, output_file_id=files.get("output"), error_file_id=files.get("error"))
            # What the answers counted until now, their files count from now on.
            parts.table.update(_key(batch), ended.to_json(), 0)


@dataclass
class _Answers:
    """Answers on their way into a file."""

    content: str
    size: int = 0
    last: int = -1
    """Number of the last line whose answer is in it."""


def _nobody() -> None:
    """Nobody works on batches (yet)."""


def _key(batch: BatchRecord) -> ObjectKey:
    return ObjectKey(batch.tenant, "batch", batch.batch_id)


def _read(parts: Parts, tenant: str, batch_id: str) -> BatchRecord:
    return BatchRecord.from_json(parts.table.get(ObjectKey(tenant, "batch", batch_id)).document)


def _write(parts: Parts, batch: BatchRecord) -> BatchRecord:
    with parts.database.transaction():
        parts.table.update(_key(batch), batch.to_json())
    return batch


def _counted(parts: Parts, batch: BatchRecord) -> BatchRecord:
    """The batch with the counts of its lines, which are in the table until it is over."""
    return batch if batch.is_over else replace(batch, counts=parts.lines.counts(batch.batch_id))
