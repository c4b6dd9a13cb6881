"""What every replica has just refused is not asked of them again before it can have changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from adaptrix_core.errors import AdaptrixError, Overloaded
from deployments.generation.ask_another import MAX_REPLICAS_ASKED, AskAnother
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline
from deployments.placement import known_replicas
from deployments.shared import overload_memory
from deployments.shared.errors import AllBusy
from deployments.shared.overload_memory import OverloadMemory
from deployments.shared.wire import GenerateCall, Piece, RowSoFar

CALL = GenerateCall("a", (5, 6), ((("digest", 1.0),),), {"n": 1}, b"tenant")


class Full:
    """Stands for the Ray handle: one replica that refuses everything, and asks for so many seconds."""

    def __init__(self, retry_after_s: float | None, code: str = "overloaded") -> None:
        self.retry_after_s, self.code, self.asked = retry_after_s, code, 0

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        self.asked += 1
        error = Overloaded("full", code=self.code, retry_after_s=self.retry_after_s)
        error.replica_id = "only"
        raise error
        yield []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(overload_memory.time, "monotonic", lambda: now[0])
    return now


def pipeline_to(replicas: Full) -> Pipeline:
    return Pipeline(replicas, lambda: None)


async def refused(pipeline: Pipeline, call: GenerateCall) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        await anext(pipeline.open([call], Deadline(None)))
    return caught.value


async def asks(handle: Full, pipeline: Pipeline, call: GenerateCall) -> bool:
    before = handle.asked
    await refused(pipeline, call)
    return handle.asked > before


async def test_a_call_like_a_refused_one_is_refused_until_the_wait_is_over(clock: list[float]) -> None:
    handle = Full(0.4)
    pipeline = pipeline_to(handle)
    assert await asks(handle, pipeline, CALL)
    clock[0] += 0.3
    assert not await asks(handle, pipeline, replace(CALL, request_id="b", prompt=(7,)))
    assert not await asks(handle, pipeline, replace(CALL, sampling={})), "one choice too"
    assert (await refused(pipeline, CALL)).retry_after_s == pytest.approx(0.1)
    clock[0] += 0.11
    assert await asks(handle, pipeline, CALL)


async def test_who_is_refused_by_all_hears_for_how_long_others_like_it_are(clock: list[float]) -> None:
    first = await refused(pipeline_to(Full(0.01)), CALL)
    assert isinstance(first, AllBusy)
    assert (first.message, first.retry_after_s, first.alike_s) == ("full", 0.01, 0.01)


def test_of_several_refusals_the_client_gets_the_one_with_the_shortest_wait() -> None:
    def told(*waits: float | None) -> float | None:
        asking = AskAnother(CALL, OverloadMemory(1))
        answers: list[AdaptrixError | None] = []
        for number, wait_s in enumerate(waits):
            refusal = Overloaded("full", retry_after_s=wait_s)
            refusal.replica_id = str(number)
            answers.append(asking.after(refusal))
        assert answers[:-1] == [None] * (MAX_REPLICAS_ASKED - 1)
        assert isinstance(answers[-1], Overloaded)
        return answers[-1].retry_after_s

    assert told(3.0, 0.5, 2.0, 4.0) == 0.5
    assert told(3.0, 0.5, None, 4.0) is None, "one that does not say when is one to try at any time"


async def test_the_wait_is_not_believed_for_long(clock: list[float]) -> None:
    handle = Full(60.0)
    pipeline = pipeline_to(handle)
    await refused(pipeline, CALL)
    clock[0] += overload_memory.LONGEST_S + 0.01
    assert await asks(handle, pipeline, CALL)


@pytest.mark.parametrize(
    "other",
    [
        {"salt": b"another"},
        {"mixes": ((),)},
        {"priority": -1},
        {"sampling": {"n": 2}},
        {"resume": (RowSoFar((1,)),)},
    ],
    ids=["tenant", "adapters", "urgency", "rows", "already-begun"],
)
async def test_other_calls_are_asked_of_the_replicas(clock: list[float], other: dict[str, object]) -> None:
    handle = Full(0.5)
    pipeline = pipeline_to(handle)
    await refused(pipeline, CALL)
    assert await asks(handle, pipeline, replace(CALL, **other))


async def test_nothing_is_asked_again_while_a_long_queue_cannot_run_empty(clock: list[float]) -> None:
    class LongQueue(Full):
        async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
            try:
                async for pieces in super().generate(call):
                    yield pieces
            except Overloaded as error:
                error.wait_s = 8.0
                raise

    handle = LongQueue(0.01)
    pipeline = pipeline_to(handle)
    assert (await refused(pipeline, CALL)).retry_after_s == 0.01
    clock[0] += 8.0 * overload_memory.QUEUED_SHARE - 0.01
    assert not await asks(handle, pipeline, CALL)
    clock[0] += 0.02
    assert await asks(handle, pipeline, CALL)


async def test_the_only_replica_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Full(0.5)
    await refused(pipeline_to(handle), CALL)
    assert handle.asked == 2  # nothing is known of the others
    monkeypatch.setattr(known_replicas, "_known", {"only"})
    await refused(pipeline_to(handle), CALL)
    assert handle.asked == 3
    monkeypatch.setattr(known_replicas, "_known", {"only", "another"})
    await refused(pipeline_to(handle), CALL)
    assert handle.asked == 5


def test_the_router_tells_which_replicas_are_left() -> None:
    class Candidate:
        def __init__(self, name: str) -> None:
            self.replica_id = SimpleNamespace(unique_id=name)

    pending = SimpleNamespace(args=(replace(CALL, refused_by=("one",)),))
    one, two = Candidate("one"), Candidate("two")
    known_replicas.saw([one, two])
    assert known_replicas.willing([one, two], pending) == [two]
    assert not known_replicas.all_have_refused(["one"])
    assert known_replicas.all_have_refused(["one", "two"])
    known_replicas.saw([one])
    assert known_replicas.willing([one], pending) == [one]
    assert known_replicas.all_have_refused(["one"])


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """No replicas are known before and after a test."""
    known_replicas.saw([])
    yield
    known_replicas.saw([])


async def test_a_few_replicas_do_not_speak_for_all(clock: list[float]) -> None:
    class FullOnes(Full):
        async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
            try:
                async for pieces in super().generate(call):
                    yield pieces
            except Overloaded as error:
                error.replica_id = str(self.asked)  # another one each time
                raise

    handle = FullOnes(0.5)
    pipeline = pipeline_to(handle)
    await refused(pipeline, CALL)
    assert await asks(handle, pipeline, CALL)


async def test_one_of_several_prompts_says_nothing_of_others(clock: list[float]) -> None:
    handle = Full(0.5)
    pipeline = pipeline_to(handle)
    await refused(pipeline, replace(CALL, is_alone=False))
    assert await asks(handle, pipeline, CALL)


async def test_who_is_refused_without_being_asked_for_hears_the_whole_wait(clock: list[float]) -> None:
    pipeline = pipeline_to(Full(60.0))
    await refused(pipeline, CALL)
    clock[0] += 0.5
    again = await refused(pipeline, CALL)
    assert again.message == "full"
    assert again.retry_after_s == 59.5
    assert isinstance(again, AllBusy)
    assert again.alike_s == overload_memory.LONGEST_S - 0.5


@pytest.mark.parametrize(("retry_after_s", "code"), [(None, "overloaded"), (0.5, "deadline_unreachable")])
async def test_what_says_nothing_of_the_next_call_is_not_remembered(
    clock: list[float], retry_after_s: float | None, code: str
) -> None:
    handle = Full(retry_after_s, code)
    pipeline = pipeline_to(handle)
    await refused(pipeline, CALL)
    assert await asks(handle, pipeline, CALL)
