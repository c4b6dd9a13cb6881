"""Who runs next: running streams, tenants, adapters, priorities; who waits too long and who gives way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.scheduling.prompt_budget import SHORT_TOGETHER
from adaptrix_core.errors import InvalidRequest
from tests.engine.conftest import MakeEngine
from tests.engine.driving import assert_same_where_safe, drain, request, tokens_of
from tests.tiny_models import NUM_LAYERS, random_base, random_prompts, random_weights

SHORT, LONG = random_prompts([3, 50], seed=8)
GREEDY = request("x", SHORT, max_tokens=12, logprobs=2).params


def add(engine: Engine, name: str, adapter: str | None = None, prompt: Sequence[int] = SHORT, **options: Any) -> None:
    """Queue one row."""
    engine.add(request(name, prompt, engine.resolve_mix(adapter), **options))


def firsts(engine: Engine, steps: int) -> list[str]:
    """Requests in the order of their first tokens within so many steps."""
    order: dict[str, None] = {}
    for _ in range(steps):
        order.update(dict.fromkeys(event.request_id for event in engine.step()))
    return list(order)


def steps_until(engine: Engine, name: str) -> int:
    """Steps until a request's first token."""
    for number in count(1):
        if name in {event.request_id for event in engine.step()}:
            return number
    raise AssertionError


def waiting(engine: Engine) -> set[str]:
    return {row.request.request_id for row in engine.scheduler.rows if not any(row.tables)}


def computed(engine: Engine) -> int:
    """Tokens computed so far."""
    return engine.stats()["layer_tokens"][0]["computed"] // NUM_LAYERS


# --- running streams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [1, 4])
def test_a_long_prompt_is_computed_in_small_parts_beside_running_streams(make_engine: MakeEngine, streams: int) -> None:
    engine = make_engine(mixed_prefill_tokens=5, short_prompt_tokens=1, prefix_cache=False)
    [expected] = engine.generate([LONG], "red", GREEDY)
    for number in range(streams):
        add(engine, f"stream-{number}", max_tokens=30)
    engine.step()
    add(engine, "long", "red", LONG, max_tokens=12)
    events = []
    for _ in range(-(-len(LONG) // (5 + streams))):
        assert not [event for event in events if event.request_id == "long"]
        before = computed(engine)
        step = engine.step()
        assert Counter(e.request_id for e in step if e.request_id != "long") == {
            f"stream-{number}": 1 for number in range(streams)
        }
        assert computed(engine) - before <= streams + 5 + streams
        events += step
    assert_same_where_safe(tokens_of(events + drain(engine))["long", 0], expected)


@pytest.mark.parametrize("tokens", [1, 15])
def test_the_parts_of_a_long_prompt_shrink_as_what_they_attend_to_grows(make_engine: MakeEngine, tokens: int) -> None:
    engine = make_engine(mixed_prefill_tokens=tokens, short_prompt_tokens=1, prefix_cache=False)
    add(engine, "stream", max_tokens=60)
    engine.step()
    add(engine, "long", "red", LONG, max_tokens=2)
    parts = []
    while sum(parts) < len(LONG):
        before = computed(engine)
        engine.step()
        parts.append(computed(engine) - before - 1)
    info = engine.base.info
    comparable = info.num_parameters // (2 * info.num_layers * info.num_heads * info.head_dim)
    begun = [sum(parts[:number]) for number in range(len(parts))]
    assert parts[:-1] == [int((tokens + 1) / (1 + start / comparable)) for start in begun[:-1]]
    assert parts[0] == tokens + 1 > parts[-2] > 0
    drain(engine)


def test_a_prompt_has_the_whole_step_while_no_stream_runs(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=5, max_batch_tokens=40)
    add(engine, "first", None, LONG, max_tokens=3)
    add(engine, "second", None, LONG[1:], max_tokens=3)
    assert engine.step() == []
    assert computed(engine) == 40
    assert [event.request_id for event in engine.step()] == ["first"]
    assert computed(engine) == 80
    drain(engine)


def test_short_prompts_are_computed_whole_beside_running_streams_a_few_in_each_step(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=5, short_prompt_tokens=len(LONG))
    add(engine, "stream", max_tokens=40)
    engine.step()
    for number in range(5):
        add(engine, f"short-{number}", None, LONG[number:], max_tokens=9)
    for begun in (SHORT_TOGETHER, 2 * SHORT_TOGETHER, 5):
        assert {event.request_id for event in engine.step()} == {"stream", *(f"short-{n}" for n in range(begun))}
    drain(engine)


def test_a_prompt_that_is_not_short_does_not_join_those_that_are(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=1, short_prompt_tokens=10, prefix_cache=False)
    add(engine, "stream", max_tokens=40)
    engine.step()
    before = computed(engine)
    add(engine, "short", None, LONG[:4], max_tokens=9)
    add(engine, "longer", None, LONG[:12], max_tokens=9)
    assert {event.request_id for event in engine.step()} == {"stream", "short"}
    assert computed(engine) - before == 1 + 4
    drain(engine)


def test_a_short_prompt_keeps_to_the_tokens_of_a_step(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=5, short_prompt_tokens=len(LONG), max_batch_tokens=40)
    add(engine, "stream", max_tokens=40)
    engine.step()
    before = computed(engine)
    add(engine, "short", None, LONG, max_tokens=2)
    assert [event.request_id for event in engine.step()] == ["stream"]
    assert computed(engine) - before == 40
    drain(engine)


def test_a_short_prompt_does_not_wait_for_the_end_of_a_long_one(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=4, short_prompt_tokens=10)
    add(engine, "stream", max_tokens=40)
    engine.step()
    add(engine, "long", "red", LONG, max_tokens=2)
    engine.step()
    add(engine, "short", "blue", max_tokens=2)
    assert firsts(engine, 4) == ["stream", "short"]
    drain(engine)


def test_a_stream_that_has_begun_goes_on_before_others_begin(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    add(engine, "begun", "red", max_tokens=12)
    engine.step()
    add(engine, "other", "blue")
    engine.switch("begun", None, "recompute")
    assert firsts(engine, 1) == ["begun"]
    drain(engine)


# --- fairness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queued", [10, 200])
@pytest.mark.parametrize("salts", [(b"x", b"x"), (b"x", b"y")], ids=["one tenant", "two tenants"])
def test_a_rare_adapter_waits_no_longer_however_many_rows_of_a_hot_one_are_queued(
    make_engine: MakeEngine, queued: int, salts: tuple[bytes, bytes]
) -> None:
    engine = make_engine(max_rows=2)
    for number in range(queued):
        add(engine, f"hot-{number}", "red", max_tokens=4, salt=salts[0])
    for _ in range(3):
        engine.step()
    add(engine, "rare", "blue", salt=salts[1])
    assert steps_until(engine, "rare") <= 4


@pytest.mark.parametrize("queued", [10, 200])
def test_a_tenant_gains_nothing_by_using_many_adapters(make_engine: MakeEngine, queued: int) -> None:
    engine = make_engine(adapters=tuple("abcdef"), max_rows=2)
    for number in range(queued):
        add(engine, f"many-{number}", "abcdef"[number % 6], max_tokens=4, salt=b"many")
    for _ in range(3):
        engine.step()
    for number in range(8):
        add(engine, f"one-{number}", "a", max_tokens=4, salt=b"one")
    assert steps_until(engine, "one-0") <= 4
    begun = [name.split("-")[0] for name in firsts(engine, 12)]
    assert abs(begun.count("many") - begun.count("one")) <= 3


def test_two_adapters_with_long_queues_are_served_alike(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=4)
    for number in range(60):
        add(engine, f"hot-{number}", "red", max_tokens=3)
    for _ in range(2):
        engine.step()
    for number in range(20):
        add(engine, f"rare-{number}", "blue", max_tokens=3)
    begun = Counter(name.split("-")[0] for name in firsts(engine, 18))
    assert abs(begun["hot"] - begun["rare"]) <= 4
    assert min(begun.values()) >= 8


def test_rows_of_one_tenant_and_adapter_keep_their_order(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=2)
    for number in range(9):
        add(engine, str(number), "red", max_tokens=1 + number % 3)
    assert firsts(engine, 40) == [str(number) for number in range(9)]


def test_the_age_of_the_oldest_waiting_row_is_reported(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    assert engine.stats()["longest_wait_s"] == 0.0
    add(engine, "runs", max_tokens=3)
    add(engine, "waits", max_tokens=3)
    engine.step()
    earlier = engine.stats()["longest_wait_s"]
    assert 0.0 < earlier < engine.stats()["longest_wait_s"] < 600.0
    drain(engine)


def test_a_prompt_joins_once_all_of_it_fits(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=32, max_batch_tokens=8, prefix_cache=False)
    for name, prompt in zip("ab", random_prompts([20, 20], seed=4), strict=True):
        add(engine, name, None, prompt, max_tokens=8)
    drain(engine)
    assert engine.scheduler.num_preemptions == 0
    assert computed(engine) == 2 * (20 + 7)


# --- device slots ----------------------------------------------------------------------------------------------------


def scarce(make_engine: MakeEngine, **options: Any) -> Engine:
    """Two of three adapters fit the device."""
    base = random_base()
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("abc")}
    budget = {"device_budget_bytes": 2 * adapters["a"].nbytes}
    return make_engine(base=base, adapters=adapters, loader=budget, **options)


def test_a_row_without_device_slots_is_overtaken_so_often_and_no_more(make_engine: MakeEngine) -> None:
    engine = scarce(make_engine, max_rows=3)
    [expected] = engine.generate([SHORT], "c", GREEDY)
    add(engine, "a", "a", max_tokens=30)
    add(engine, "b", "b", max_tokens=12)
    engine.step()
    add(engine, "c", "c", max_tokens=12)
    for number in range(40):
        add(engine, f"b-{number}", "b", max_tokens=2)
    events = drain(engine)
    order = list(dict.fromkeys(event.request_id for event in events))
    assert order.index("c") == 2 + 3  # after "a", "b" and as many others as the batch has places
    assert_same_where_safe(tokens_of(events)["c", 0], expected)


def test_rows_that_need_no_slots_run_beside_one_that_waits_for_them(make_engine: MakeEngine) -> None:
    engine = scarce(make_engine, max_rows=4)
    add(engine, "a", "a", max_tokens=9)
    add(engine, "b", "b", max_tokens=9)
    engine.step()
    add(engine, "c", "c", max_tokens=2)
    add(engine, "base", None, max_tokens=2)
    assert firsts(engine, 1) == ["a", "b", "base"]
    assert waiting(engine) == {"c"}
    assert len(tokens_of(drain(engine))["c", 0]) == 2


# --- priorities ------------------------------------------------------------------------------------------------------


def test_more_urgent_rows_run_first_and_equal_ones_in_order(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    for name, priority in (("late", 5), ("first", 0), ("second", 0), ("now", -3)):
        add(engine, name, priority=priority, max_tokens=2)
    assert firsts(engine, 20) == ["now", "first", "second", "late"]


def test_what_an_urgent_class_was_served_does_not_count_in_another(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    add(engine, "urgent", "red", priority=-1, max_tokens=20)
    add(engine, "red", "red", max_tokens=2)
    add(engine, "blue", "blue", max_tokens=2)
    assert firsts(engine, 30) == ["urgent", "red", "blue"]


@pytest.mark.parametrize("value", [101, -101, 1.5, "high", True, None])
def test_a_priority_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"priority is .*whole number from -100 to 100") as caught:
        GenerationRequest("r", (2, 3), SamplingParams(), priority=value)
    assert caught.value.param == "priority"


def test_the_least_urgent_row_gives_way_when_blocks_run_out(make_engine: MakeEngine) -> None:
    # Twelve blocks: three for each prompt, then a fourth, then a fifth.
    engine = make_engine(kv_cache_tokens=48, mixed_prefill_tokens=32)
    prompts = random_prompts([11, 11, 11], seed=4)
    single = [engine.generate([prompt], None, GREEDY)[0] for prompt in prompts]
    events = []
    for name, prompt, priority in zip("abc", prompts, (0, 7, 0), strict=True):
        add(engine, name, None, prompt, priority=priority, max_tokens=12)
        events += engine.step()
    while not waiting(engine):
        events += engine.step()
    assert waiting(engine) == {"b"}
    tokens = tokens_of(events + drain(engine))
    for name, expected in zip("abc", single, strict=True):
        assert_same_where_safe(tokens[name, 0], expected)


def test_among_equals_the_last_to_join_gives_way(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=48)
    for name, prompt in zip("abc", random_prompts([11, 11, 11], seed=4), strict=True):
        add(engine, name, None, prompt, max_tokens=12)
    engine.step()
    while not waiting(engine):
        engine.step()
    assert waiting(engine) == {"c"}
    drain(engine)


def test_a_row_takes_no_block_from_a_more_urgent_one(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=32)  # eight blocks
    urgent, other = random_prompts([13, 16], seed=4)  # four blocks each; the other one is the first to need a fifth
    add(engine, "other", None, other, priority=1, max_tokens=8)
    add(engine, "urgent", None, urgent, priority=0, max_tokens=3)
    engine.step()
    assert firsts(engine, 1) == ["urgent"]
    assert waiting(engine) == {"other"}
    drain(engine)


@pytest.mark.parametrize("options", [{"max_rows": 1}, {"kv_cache_tokens": 32}], ids=["places", "blocks"])
def test_a_more_urgent_row_displaces_others_and_equal_ones_wait(
    make_engine: MakeEngine, options: dict[str, int]
) -> None:
    engine = make_engine(mixed_prefill_tokens=32, **options)
    [prompt] = random_prompts([20], seed=4)
    [expected] = engine.generate([prompt], "red", GREEDY)
    add(engine, "running", "red", prompt, max_tokens=12)
    events = engine.step()
    add(engine, "equal", "blue", prompt, max_tokens=3)
    events += engine.step()
    assert waiting(engine) == {"equal"}
    add(engine, "urgent", "blue", prompt, priority=-1, max_tokens=3)
    step = engine.step()
    assert [event.request_id for event in step] == ["urgent"]
    assert "running" in waiting(engine)
    events += step + drain(engine)
    ends = [event.request_id for event in events if event.finish_reason is not None]
    assert ends == ["urgent", "running", "equal"]
    assert_same_where_safe(tokens_of(events)["running", 0], expected)


def test_a_displaced_row_does_not_come_back_in_the_same_step(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=32, mixed_prefill_tokens=32, prefix_cache=False)  # eight blocks
    prompts = dict(zip(("large", "small", "urgent"), random_prompts([18, 6, 15], seed=4), strict=True))
    single = {name: engine.generate([prompt], None, GREEDY)[0] for name, prompt in prompts.items()}
    for name in ("large", "small"):
        add(engine, name, None, prompts[name], max_tokens=12, salt=name.encode())
    events = engine.step()
    add(engine, "urgent", None, prompts["urgent"], priority=-1, max_tokens=12)
    events += engine.step()
    assert waiting(engine) == {"large", "small"}  # though the small one would fit beside the urgent one
    tokens = tokens_of(events + drain(engine))
    for name in prompts:
        assert_same_where_safe(tokens[name, 0], single[name])


def test_urgent_rows_without_end_keep_no_blocks_or_slots_from_one_another(make_engine: MakeEngine) -> None:
    """Rows that displace and rows that are displaced all end, each as if it had run alone."""
    engine = scarce(make_engine, max_rows=3, kv_cache_tokens=48)
    prompts = random_prompts([5, 12, 20], seed=4)
    alone = {(n, a): engine.generate([prompts[n]], a, GREEDY)[0] for n in range(3) for a in (None, *"abc")}
    choices = {str(i): (i % 3, (None, *"abc")[i % 4]) for i in range(24)}
    names = iter(choices)

    def join() -> None:
        if engine.num_steps % 3 == 0 and (name := next(names, None)) is not None:
            number, adapter = choices[name]
            add(engine, name, adapter, prompts[number], priority=-int(name) // 2, max_tokens=12)

    join_first = next(names)
    add(engine, join_first, None, prompts[0], max_tokens=12)
    events = drain(engine, join)
    for (name, _), tokens in tokens_of(events).items():
        assert len(tokens) == 12
        assert_same_where_safe(tokens, alone[choices[name]])
