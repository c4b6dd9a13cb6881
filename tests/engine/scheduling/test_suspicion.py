"""Rows under suspicion are computed apart, in turns with the others, until they are cleared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from adaptrix_core.engine.scheduling.quarantine import STEPS_TO_CLEAR, Quarantine, Suspicion
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request, tokens_of
from tests.tiny_models import random_prompts


@dataclass(eq=False)
class FakeRow:
    suspicion: Suspicion | None = None


@dataclass(eq=False)
class Part:
    row: FakeRow = field(default_factory=FakeRow)
    reaches_end: bool = True


def test_without_suspicion_everything_is_computed_together() -> None:
    parts = [Part(), Part()]
    assert Quarantine().apart(parts) == parts


def test_halves_are_computed_apart_until_they_have_passed() -> None:
    quarantine, parts = Quarantine(), [Part() for _ in range(5)]
    quarantine.halve([part.row for part in parts])
    seen = []
    while any(part.row.suspicion for part in parts):
        batch = quarantine.apart(parts)
        if all(part.row.suspicion for part in batch):
            seen.append([parts.index(part) for part in batch])
        quarantine.passed(batch)
    assert seen == [[0, 1]] * STEPS_TO_CLEAR + [[2, 3, 4]] * STEPS_TO_CLEAR
    assert quarantine.apart(parts) == parts


def test_suspects_and_others_take_turns() -> None:
    quarantine, suspect, other = Quarantine(), Part(), Part()
    quarantine.add([suspect.row])
    batches = [quarantine.apart([suspect, other]) for _ in range(4)]
    assert [suspect in batch for batch in batches] in ([True, False] * 2, [False, True] * 2)
    assert all(len(batch) == 1 for batch in batches)


def test_a_part_that_chooses_no_token_clears_nobody() -> None:
    quarantine, part = Quarantine(), Part(reaches_end=False)
    quarantine.add([part.row])
    for _ in range(9):
        quarantine.passed([part])
    assert part.row.suspicion is not None


def test_a_suspect_request_gets_the_same_tokens_apart_from_others(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_tokens=4)
    prompts = random_prompts([9, 6])
    engine.add(request("a", prompts[0]))
    alone = tokens_of(drain(engine))["a", 0]
    batches: list[set[str]] = []
    run = engine.runner.run

    def noting(batch, meanwhile):  # type: ignore[no-untyped-def]
        batches.append({chunk.row.request.request_id for chunk in batch.chunks})
        return run(batch, meanwhile)

    engine.runner.run = noting  # type: ignore[method-assign]
    engine.add(request("b", prompts[1], max_tokens=20))
    engine.add(replace(request("a", prompts[0]), is_suspect=True))
    found = tokens_of(drain(engine))
    assert found["a", 0] == alone
    first = batches.index({"a"})
    together = [number for number, batch in enumerate(batches) if batch == {"a", "b"}]
    assert together
    assert first < min(together)
