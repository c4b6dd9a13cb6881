"""How long a new row is expected to wait, and who is refused because of it."""

from __future__ import annotations

import time
from math import inf

import pytest

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.backlog import FIRST_GUESS, LEAST_STEPS, MEASURED_STEPS, Backlog, first_free
from adaptrix_core.errors import Overloaded
from adaptrix_core.injection.mix import constant
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_base, random_weights

PROMPT = (2, 3, 4, 5)


@pytest.fixture
def roomy(make_engine: MakeEngine) -> MakeEngine:
    """Makes engines with a context that long answers fit into."""
    return lambda **options: make_engine(
        base=random_base(max_position_embeddings=1200), **options, kv_cache_tokens=4096
    )


@pytest.mark.parametrize(
    ("left", "before", "level"),
    [
        ([7.0], 0.0, 7.0),
        ([7.0], 5.0, 12.0),
        ([9.0, 2.0, 6.0], 0.0, 2.0),
        ([9.0, 2.0, 6.0], 4.0, 6.0),
        ([9.0, 2.0, 6.0], 10.0, 9.0),
        ([9.0, 2.0, 6.0], 13.0, 10.0),
        ([0.0, 0.0], 10.0, 5.0),
        ([], 3.0, 0.0),
    ],
)
def test_a_place_is_free_once_all_that_comes_before_is_poured_over_the_places(
    left: list[float], before: float, level: float
) -> None:
    assert first_free(left, before) == pytest.approx(level)


def measured(engine: Engine, rate: float) -> None:
    """As if every row had advanced by ``rate`` tokens per second so far, save in a step that slept."""
    engine.scheduler.backlog._steps.clear()
    for seconds in [1.0] * LEAST_STEPS + [1000.0]:
        engine.scheduler.backlog.stepped(seconds, int(2 * rate), 2)


def add(engine: Engine, name: str, max_tokens: int, **fields: object) -> list[Row]:
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    return engine.add(GenerationRequest(name, PROMPT, params, **fields))  # type: ignore[arg-type]


def wait_s(engine: Engine, row: Row) -> float | None:
    scheduler = engine.scheduler
    return scheduler.backlog.wait_s(row, scheduler._running, scheduler._waiting)


def probe(engine: Engine, **fields: object) -> Row:
    """A row that is not queued."""
    request = GenerationRequest("probe", PROMPT, SamplingParams(max_tokens=6), **fields)  # type: ignore[arg-type]
    return engine._maker.row(request, 0, 0)


def test_nothing_is_expected_before_anything_was_measured(roomy: MakeEngine) -> None:
    engine = roomy(max_wait_s=1e-6, max_rows=1)
    add(engine, "running", 100)
    engine.step()
    assert wait_s(engine, probe(engine)) is None
    add(engine, "accepted", 100)


def test_the_expected_wait_is_what_is_left_before_the_row_over_the_rate(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=2)
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine)) == 0.0
    add(engine, "long", 41)
    add(engine, "short", 21)
    engine.step()  # prompts and first tokens: 40 and 20 tokens are left, and one each to be computed
    assert engine.scheduler.num_running == 2
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine)) == pytest.approx(2.1)
    add(engine, "waiting", 26)  # 30 tokens with its prompt: from 2.1 s to 4.1 s alone, then both places fill up
    assert wait_s(engine, probe(engine)) == pytest.approx((41 + 21 + 30) / 2 / 10)


def test_rows_whose_prompts_take_their_turns_have_places_and_do_not_wait_for_any(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=8, mixed_prefill_tokens=1, short_prompt_tokens=1, max_wait_s=1e-3)
    add(engine, "streams", 60)
    for _ in range(2 * LEAST_STEPS):
        engine.step()
    for number in range(7):  # as many as there are places for, and a few tokens of their prompts in each step
        add(engine, f"burst-{number}", 60)
        engine.step()
    assert engine.scheduler.num_waiting > 0


def test_less_urgent_rows_are_not_waited_for(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1)
    add(engine, "running", 41)
    engine.step()
    add(engine, "waiting", 500)
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine, priority=-1)) == 0.0
    assert wait_s(engine, probe(engine)) == pytest.approx((41 + 4 + FIRST_GUESS) / 10)


def test_a_place_that_an_equal_row_waits_for_is_not_free_and_that_of_a_less_urgent_one_is(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=2)
    add(engine, "running", 41)
    engine.step()
    add(engine, "waiting", 26)  # 30 tokens with its prompt, in the place that is free
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine)) == pytest.approx(3.0)
    assert wait_s(engine, probe(engine, priority=-1)) == 0.0


def test_all_more_urgent_rows_that_wait_come_before(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1)
    add(engine, "running", 41)
    engine.step()
    for name in "ab":
        add(engine, name, 26, priority=-1)
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine)) == pytest.approx((41 + 2 * 30) / 10)


def test_where_memory_is_short_there_are_as_many_places_as_rows_run(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=2)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 10.0)
    engine.scheduler.backlog.planned(1, True)
    assert wait_s(engine, probe(engine)) == pytest.approx(4.1)
    for running, is_short in ((1, False), (0, True)):
        engine.scheduler.backlog.planned(running, is_short)
        assert wait_s(engine, probe(engine)) == 0.0


def test_a_row_that_waits_for_blocks_finds_no_place_however_many_the_batch_has(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=8, kv_cache_tokens=24, prefix_cache=False)
    for name in "ab":
        engine.add(GenerationRequest(name, (*PROMPT, *range(10, 20)), SamplingParams(max_tokens=5, ignore_eos=True)))
        engine.step()
    assert engine.scheduler.num_running == 1
    measured(engine, 10.0)
    assert (wait_s(engine, probe(engine)) or 0.0) > 0.0
    engine.abort("b")
    engine.step()
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine)) == 0.0


def test_a_row_that_waits_for_device_slots_finds_no_place_either(make_engine: MakeEngine) -> None:
    base = random_base()
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("ab")}
    engine = make_engine(base=base, adapters=adapters, loader={"device_budget_bytes": adapters["a"].nbytes})
    for name in "ab":
        params = SamplingParams(max_tokens=9, ignore_eos=True)
        engine.add(GenerationRequest(name, PROMPT, params, (constant(engine.resolve_mix(name)),)))
        engine.step()
    assert engine.scheduler.num_running == 1
    measured(engine, 10.0)
    assert (wait_s(engine, probe(engine)) or 0.0) > 0.0


def test_a_rate_is_that_of_all_measured_steps_but_the_slowest_once_there_are_enough() -> None:
    backlog = Backlog(8)
    for number in range(1, LEAST_STEPS + 1):
        assert backlog.row_rate is None
        backlog.stepped(float(number), 10 * number, number)
    counted = range(1, LEAST_STEPS)
    assert backlog.row_rate == pytest.approx(sum(10 * n for n in counted) / sum(n * n for n in counted))


@pytest.mark.parametrize(("seconds", "rate"), [(0.001, 20_000.0), (0.0, None)])
def test_fast_steps_have_a_rate_and_a_clock_that_does_not_move_gives_none(seconds: float, rate: float | None) -> None:
    backlog = Backlog(1)
    for _ in range(LEAST_STEPS):
        backlog.stepped(seconds, 20, 1)
    assert backlog.row_rate == (None if rate is None else pytest.approx(rate))


def test_a_rate_is_that_of_the_last_steps() -> None:
    backlog = Backlog(1)
    for seconds in (10.0, 1.0):
        for _ in range(MEASURED_STEPS):
            backlog.stepped(seconds, 20, 1)
    assert backlog.row_rate == pytest.approx(20.0)


def test_a_long_queue_of_one_tenant_does_not_make_another_tenant_wait_for_all_of_it(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1)
    add(engine, "running", 11)
    engine.step()
    for number in range(20):
        add(engine, f"heavy-{number}", 96, salt=b"heavy")
    measured(engine, 10.0)
    assert wait_s(engine, probe(engine, salt=b"heavy")) == pytest.approx((11 + 20 * 100) / 10)
    assert wait_s(engine, probe(engine, salt=b"light")) == pytest.approx((11 + 10) / 10)


def test_answers_are_expected_to_be_as_long_as_earlier_ones_of_a_similar_limit(roomy: MakeEngine) -> None:
    engine = roomy()
    backlog = engine.scheduler.backlog
    unknown = engine._maker.row(GenerationRequest("x", PROMPT, SamplingParams(max_tokens=900)), 0, 0)
    assert backlog.tokens_left(unknown) == len(PROMPT) + FIRST_GUESS
    unknown.tokens += [2] * 30
    backlog.ended(unknown)
    again = engine._maker.row(GenerationRequest("y", PROMPT, SamplingParams(max_tokens=1000)), 0, 0)
    assert backlog.tokens_left(again) == len(PROMPT) + 30


def test_what_is_expected_of_an_answer_moves_slowly_to_what_answers_have_been_lately(roomy: MakeEngine) -> None:
    engine = roomy()
    backlog = engine.scheduler.backlog

    def end_after(tokens: int) -> float:
        row = engine._maker.row(GenerationRequest("x", PROMPT, SamplingParams(max_tokens=900)), 0, 0)
        expected = backlog.tokens_left(row)
        row.tokens += [2] * tokens
        backlog.ended(row)
        return expected - len(PROMPT)

    end_after(30)
    expected = [end_after(130) for _ in range(100)]
    assert expected[0] == 30
    assert expected == sorted(expected)
    assert 30 < expected[1] < 80, "one answer says little"
    assert 125 < expected[-1] < 130, "many say much"


def test_of_an_answer_that_is_longer_than_expected_only_what_is_uncomputed_is_left(roomy: MakeEngine) -> None:
    engine = roomy()
    row = engine._maker.row(GenerationRequest("x", PROMPT, SamplingParams(max_tokens=900)), 0, 0)
    row.tokens += [2] * (FIRST_GUESS + 5)
    assert engine.scheduler.backlog.tokens_left(row) == row.num_uncomputed


def test_a_wait_of_just_the_limit_is_accepted(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1, max_wait_s=5.125)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 8.0)
    add(engine, "just in time", 10)
    assert engine.scheduler.num_waiting == 1


def test_who_would_wait_longer_than_the_limit_is_refused_and_told_for_how_long(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1, max_wait_s=5.0)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 10.0)
    add(engine, "in time", 10)
    with pytest.raises(Overloaded, match=r"free in 5\.5 s, .* more than 5 s \(engine\.max_wait_s\)") as caught:
        add(engine, "too late", 10)
    assert caught.value.retry_after_s == pytest.approx(0.5)
    assert caught.value.wait_s == pytest.approx(5.5)
    add(engine, "urgent", 10, priority=-1)
    assert engine.scheduler.num_waiting == 2


def test_a_full_queue_says_when_a_place_becomes_free(roomy: MakeEngine) -> None:
    engine = roomy(max_rows=1, max_queue=1)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 10.0)
    add(engine, "waiting", 10)
    with pytest.raises(Overloaded, match="queue holds 1") as caught:
        add(engine, "refused", 10)
    assert caught.value.retry_after_s == pytest.approx(4.1)


@pytest.mark.parametrize(("timeout_s", "is_accepted"), [(4.9, False), (5.3, False), (5.6, True), (inf, True)])
def test_a_deadline_that_waiting_makes_impossible_is_refused_at_once(
    roomy: MakeEngine, timeout_s: float, is_accepted: bool
) -> None:
    engine = roomy(max_rows=1)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 10.0)
    if is_accepted:  # 4.1 s until its place is free, 1.4 s for its own 14 tokens
        add(engine, "request", 10, timeout_s=timeout_s)
        return
    with pytest.raises(Overloaded, match=r"expected to take 5\.5 s, 4\.1 s of it waiting") as caught:
        add(engine, "request", 10, timeout_s=timeout_s)
    assert caught.value.code == "deadline_unreachable"
    assert caught.value.retry_after_s == pytest.approx(5.5 - timeout_s, abs=0.05)


def test_a_deadline_that_is_just_met_is_accepted(roomy: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = roomy(max_rows=1)
    add(engine, "running", 41)
    engine.step()
    measured(engine, 8.0)
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    # 41 tokens until its place is free, 12 of its own.
    row = engine._maker.row(GenerationRequest("request", PROMPT, params, timeout_s=(41 + 12) / 8), 0, 0)
    row.arrived = 1024.0
    monkeypatch.setattr(time, "perf_counter", lambda: 1024.0 + 2**-10)
    with pytest.raises(Overloaded):
        engine.scheduler.enqueue([row])
    monkeypatch.setattr(time, "perf_counter", lambda: 1024.0)
    engine.scheduler.enqueue([row])
    assert engine.scheduler.num_waiting == 1


def test_a_short_deadline_on_an_idle_engine_is_tried(roomy: MakeEngine) -> None:
    engine = roomy()
    measured(engine, 10.0)
    add(engine, "hopeless", 500, timeout_s=0.001)
    assert [row.request.request_id for row in engine.scheduler.rows] == ["hopeless"]
