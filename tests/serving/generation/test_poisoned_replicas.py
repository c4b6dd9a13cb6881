"""A request that hangs whatever computes it ends after the second time; those beside it get all of their tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import EngineHung, InvalidRequest
from adaptrix_core.observe.tracing import start_tracing
from deployments.generation import continue_elsewhere
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline
from deployments.generation.ports import Batches, PieceStream
from deployments.replica.worker import EngineWorker
from deployments.shared.errors import ReplicaLost
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.tiny import World

POISON = (9, 8, 7, 6)
SAMPLING = {"temperature": 0.0, "ignore_eos": True, "seed": 1}
MakeWorkers = Callable[[int], list[EngineWorker]]


@pytest.fixture
async def make_workers(world: World) -> AsyncIterator[MakeWorkers]:
    """Workers whose engines hang in every step that computes the poison, for as long as the test goes on."""
    made, end = list[EngineWorker](), threading.Event()
    settings = load_settings(world.settings())

    def build(count: int) -> list[EngineWorker]:
        for _ in range(count):
            worker = EngineWorker(settings, lambda _: None, start_tracing(settings.observe, "replica", "t"))  # type: ignore[arg-type]
            _hang_on_poison(worker, end)
            worker._loop.heartbeat._limit_s = 0.5
            made.append(worker)
        return made

    yield build
    end.set()
    for worker in made:
        await asyncio.to_thread(worker.stop)


def _hang_on_poison(worker: EngineWorker, end: threading.Event) -> None:
    runner = worker._engine.runner
    run = runner.run

    def poisoned(batch: Any, meanwhile: Any) -> Any:
        if any(chunk.row.request.prompt_token_ids == POISON for chunk in batch.chunks):
            end.wait(300)
        return run(batch, meanwhile)

    runner.run = poisoned  # type: ignore[method-assign]


class Cluster:
    """Workers of which the first serves until it hangs; then it is given up and the next one serves."""

    def __init__(self, workers: list[EngineWorker]) -> None:
        self.workers = list(workers)
        self.num_hung = 0

    async def generate(self, call: GenerateCall) -> Batches:
        worker = self.workers[0]
        async with aclosing(worker.generate(call)) as batches:
            async for pieces in batches:
                yield pieces

    async def watch(self) -> None:
        """What the watchdog does, short of ending the process."""
        while True:
            await asyncio.sleep(0.05)
            worker = self.workers[0]
            if worker._loop.heartbeat.is_stuck:
                self.workers.pop(0)
                self.num_hung += 1
                worker.give_up("hangs")


def call_of(name: str, prompt: tuple[int, ...], max_tokens: int) -> GenerateCall:
    return GenerateCall(name, prompt, ((),), {**SAMPLING, "max_tokens": max_tokens}, b"")


async def tokens_of(batches: PieceStream) -> list[int | None]:
    return [piece.token_id async for pieces in batches for piece in pieces if piece.token_id is not None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_elsewhere, "LONGEST_PAUSE_S", 0.1)


async def test_poison_ends_after_two_replicas_and_its_neighbours_get_every_token(make_workers: MakeWorkers) -> None:
    cluster = Cluster(make_workers(3))
    pipeline = Pipeline(cluster, lambda: None)

    def opened(call: GenerateCall) -> PieceStream:
        return pipeline.open([call], Deadline(None))

    prompts = [(1, 2, 3, number) for number in range(4)]
    alone = [await tokens_of(cluster.workers[-1].generate(call_of(f"alone{i}", p, 60))) for i, p in enumerate(prompts)]
    watching = asyncio.create_task(cluster.watch())
    try:
        beside = [
            asyncio.create_task(tokens_of(opened(call_of(f"n{i}", prompt, 60)))) for i, prompt in enumerate(prompts)
        ]
        poisoned = asyncio.create_task(tokens_of(opened(call_of("poison", POISON, 5))))
        with pytest.raises(InvalidRequest, match="2 replicas hung") as refusal:
            await poisoned
        assert refusal.value.code == "request_hung"
        assert await asyncio.gather(*beside) == alone
        assert cluster.num_hung == 2
    finally:
        watching.cancel()


async def test_callers_learn_whether_they_were_in_the_step_that_hangs(make_workers: MakeWorkers) -> None:
    [worker] = make_workers(1)
    poisoned = asyncio.create_task(tokens_of(worker.generate(call_of("poison", POISON, 5))))
    while "poison" not in worker._engine.in_step:
        await asyncio.sleep(0.01)
    later = asyncio.create_task(first_of(worker.generate(call_of("later", (1, 2), 5))))
    while worker._open_calls < 2:
        await asyncio.sleep(0.01)
    told = worker.give_up("hangs")
    with pytest.raises(EngineHung) as hung:
        await poisoned
    assert hung.value.was_in_step
    with pytest.raises(EngineHung) as waited:
        await later
    assert not waited.value.was_in_step
    assert await asyncio.to_thread(told.wait, 30)


async def first_of(batches: Batches) -> list[Piece]:
    async with aclosing(batches):
        return await anext(batches)


def test_errors_of_hung_engines_survive_the_way_to_the_ingress() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(EngineHung("hangs", was_in_step=True)))
    assert error.was_in_step
    assert error.code == "engine_hung"
    assert not isinstance(error, ReplicaLost)
