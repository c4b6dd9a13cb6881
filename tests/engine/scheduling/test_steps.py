"""What a step is made of where adapters, blocks or places are short, and in which parts prompts are computed."""

from __future__ import annotations

import pytest

from adaptrix_core.engine import Engine
from adaptrix_core.engine.engine import LogitsSchedule
from tests.engine.conftest import MakeEngine
from tests.engine.driving import assert_same_where_safe, drain, request, tokens_of
from tests.tiny_models import random_base, random_prompts, random_weights

SHORT, LONG = random_prompts([3, 50], seed=8)
GREEDY = request("x", SHORT, max_tokens=12, logprobs=2).params


def add(engine: Engine, name: str, adapter: str | None = None, prompt: list[int] = SHORT, max_tokens: int = 12) -> None:
    engine.add(request(name, prompt, engine.resolve_mix(adapter), max_tokens=max_tokens))


def scarce(make_engine: MakeEngine, **options: int) -> Engine:
    """Two of three adapters fit the device."""
    base = random_base()
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("abc")}
    budget = {"device_budget_bytes": 2 * adapters["a"].nbytes}
    return make_engine(base=base, adapters=adapters, loader=budget, **options)


def comparable(engine: Engine) -> int:
    """Tokens of context that cost as much to attend to as one token's matrix products."""
    info = engine.base.info
    return info.num_parameters // (2 * info.num_layers * info.num_heads * info.head_dim)


def test_a_running_row_whose_next_adapter_finds_no_room_waits_and_the_others_go_on(make_engine: MakeEngine) -> None:
    engine = scarce(make_engine)
    [expected] = engine.generate([SHORT], "a", GREEDY)
    for name, adapter in (("a", "a"), ("b", "b"), ("switched", None)):
        add(engine, name, adapter)
    events = engine.step()
    engine.switch("switched", "c")
    for _ in range(3):
        step = engine.step()
        assert [event.request_id for event in step] == ["a", "b"]
        events += step
    assert engine.scheduler.num_preemptions == 1
    assert engine.check_integrity() == []
    tokens = tokens_of(events + drain(engine))
    assert len(tokens["switched", 0]) == 12
    assert_same_where_safe(tokens["a", 0], expected)


def test_a_prompt_that_gives_way_costs_the_others_none_of_the_step(make_engine: MakeEngine) -> None:
    engine = scarce(make_engine, mixed_prefill_tokens=8, short_prompt_tokens=1)
    for name in "ab":
        add(engine, name, name, max_tokens=40)
    engine.step()
    [other] = engine.add(request("other", LONG, max_tokens=1))
    engine.step()
    [urgent] = engine.add(request("urgent", LONG[::-1], priority=-1, max_tokens=1))
    engine.step()
    assert (urgent.num_computed, other.num_computed) == (10, 10)
    engine.switch("urgent", "c")
    engine.step()
    assert (urgent.num_computed, other.num_computed) == (0, 10 + int(10 / (1 + 10 / comparable(engine))))
    drain(engine)


def test_a_row_that_waits_for_a_place_brings_no_adapter_onto_the_device(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1, loader={"preload": False})
    add(engine, "runs")
    engine.step()
    add(engine, "waits", "red")
    engine.step()
    assert engine.stats()["adapters"]["device"]["used_bytes"] == 0
    drain(engine)
    assert engine.stats()["adapters"]["device"]["used_bytes"] > 0


def test_a_prompt_whose_beginning_was_found_in_the_cache_joins_with_the_weight_of_its_context(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(mixed_prefill_tokens=15, short_prompt_tokens=1, block_size=4)
    engine.generate([LONG[:40]], None, GREEDY)
    add(engine, "stream", max_tokens=40)
    engine.step()
    before = engine.stats()["layer_tokens"][0]["computed"]
    add(engine, "long", None, [*LONG[:40], *reversed(LONG[:20])], max_tokens=1)
    engine.step()
    computed = (engine.stats()["layer_tokens"][0]["computed"] - before) // engine.base.info.num_layers
    assert computed - 1 == int(16 / (1 + 40 / comparable(engine))) < 16
    drain(engine)


@pytest.mark.parametrize(
    ("schedule", "max_batch_tokens", "steps"),
    [("stepwise", 64, 10), ("one_shot", 64, 1), ("one_shot", 4, 3), ("chunked", 64, 2), ("chunked", 2, 5)],
)
def test_logits_are_computed_in_the_parts_of_their_schedule_and_in_none_larger_than_a_batch(
    make_engine: MakeEngine, schedule: LogitsSchedule, max_batch_tokens: int, steps: int
) -> None:
    engine = make_engine(max_batch_tokens=max_batch_tokens)
    before = engine.num_steps
    engine.logits([LONG[:10]], schedule=schedule)
    assert engine.num_steps - before == steps


def test_every_time_that_a_row_gives_way_is_counted(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    engine.add(request("displaced", SHORT, priority=1, max_tokens=12))
    events = engine.step()
    for number in range(3):
        engine.add(request(f"urgent-{number}", SHORT, max_tokens=1))
        for _ in range(3):
            events += engine.step()
    events += drain(engine)
    [timings] = [event.timings for event in events if event.request_id == "displaced" and event.finish_reason]
    assert timings is not None
    assert timings.num_preemptions == engine.scheduler.num_preemptions == 3


def test_a_prompt_that_runs_waits_while_short_ones_that_join_have_spent_its_room(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=4, short_prompt_tokens=10, prefix_cache=False)
    add(engine, "stream", max_tokens=40)
    engine.step()
    [long] = engine.add(request("long", LONG[:20], max_tokens=2))
    while long.num_uncomputed > 9:
        engine.step()
    engine.add(request("short", LONG[30:38], priority=-1, max_tokens=2))
    left = long.num_uncomputed
    assert [event.request_id for event in engine.step()] == ["stream", "short"]
    assert long.num_uncomputed == left
    drain(engine)
