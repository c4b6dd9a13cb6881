"""Changing a running request's adapter: with its keys and values kept as PEFT keeps them, or computed anew."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions, TokenEvent
from adaptrix_core.errors import AdapterNotFound, RequestNotFound
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import drain, request, tokens_of
from tests.engine.peft_cases import Case, build_case
from tests.engine.rows.switching import assert_computed_under, start, step
from tests.tiny_models import random_base, random_prompts, random_weights

History = Literal["keep", "recompute"]

PROMPT = random_prompts([9], seed=8)[0]
LONG_PROMPT = random_prompts([25], seed=9)[0]


@pytest.fixture(scope="module", params=["llama", "gemma2", "gpt2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


@pytest.fixture(params=[None, 2], ids=["one-span", "two-spans"])
def cut(request: pytest.FixtureRequest) -> int | None:
    return request.param


@pytest.fixture
def engine_for(case: Case, cut: int | None, tmp_path: Any) -> Iterator[Any]:
    """``engine_for(**options)`` -> an engine with the case's adapters; when the test ends it must hold nothing."""
    made: list[Engine] = []

    def build(**options: int) -> Engine:
        sizes = EngineOptions(
            **{"block_size": 4, "kv_cache_tokens": 512, "max_batch_tokens": 128, "cut": cut, **options}
        )
        engine = Engine(BaseModel.from_module(copy.deepcopy(case.plain)), tmp_path, TrustPolicy("off"), sizes)
        for name in case.merged:
            engine.load_adapter(case.directory / name, name)
        made.append(engine)
        return engine

    yield build
    for engine in made:
        assert not engine.has_work
        assert idle_faults(engine) == []
        engine.loader.close()


@pytest.mark.parametrize(("before", "after"), [("everything", "rslora"), (None, "patterned"), ("everything", None)])
def test_keep_equals_set_adapter_in_mid_generation(case: Case, engine_for: Any, before: Any, after: Any) -> None:
    engine = engine_for()
    start(engine, PROMPT, before)
    events = step(engine, 5)
    engine.switch("switched", after, history="keep")
    events += drain(engine)
    # The fifth token exists and is not computed yet: it is the first one under the new adapter.
    assert_computed_under(case, {0: before, len(PROMPT) + 4: after}, PROMPT, events)


def test_keep_twice(case: Case, engine_for: Any) -> None:
    engine = engine_for()
    start(engine, PROMPT, "everything")
    events = step(engine, 3)
    engine.switch("switched", "rslora")
    events += step(engine, 4)
    engine.switch("switched", "everything")
    events += drain(engine)
    plan = {0: "everything", len(PROMPT) + 2: "rslora", len(PROMPT) + 6: "everything"}
    assert_computed_under(case, plan, PROMPT, events)


def test_recompute_equals_a_cold_run_on_the_same_tokens(case: Case, engine_for: Any) -> None:
    engine = engine_for()
    start(engine, PROMPT, "everything")
    events = step(engine, 5)
    engine.switch("switched", "patterned", history="recompute")
    events += drain(engine)
    assert_computed_under(case, {0: "patterned"}, PROMPT, events, since=len(PROMPT) + 5)
    so_far = [*PROMPT, *tokens_of(events)["switched", 0][:5]]
    start(engine, so_far, "patterned", "cold", max_tokens=9)
    assert tokens_of(drain(engine))["cold", 0] == tokens_of(events)["switched", 0][5:]


@pytest.mark.parametrize("history", ["keep", "recompute"])
def test_a_preemption_after_the_switch_changes_nothing(case: Case, engine_for: Any, history: History) -> None:
    engine = engine_for(kv_cache_tokens=32)
    start(engine, random_prompts([9])[0], "rslora", "older")
    start(engine, PROMPT, "everything")
    events = step(engine, 3)
    engine.switch("switched", "patterned", history)
    preemptions = engine.scheduler.num_preemptions
    events += drain(engine)
    assert engine.scheduler.num_preemptions > preemptions
    own = [event for event in events if event.request_id == "switched"]
    assert len(own) == 14
    if history == "keep":
        assert_computed_under(case, {0: "everything", len(PROMPT) + 2: "patterned"}, PROMPT, own)
    else:
        assert_computed_under(case, {0: "patterned"}, PROMPT, own, since=len(PROMPT) + 3)


@pytest.mark.parametrize("history", ["keep", "recompute"])
def test_a_switch_while_the_prompt_is_half_computed(case: Case, engine_for: Any, history: History) -> None:
    engine = engine_for(max_batch_tokens=8)
    start(engine, LONG_PROMPT, "everything")
    assert step(engine, 2) == []
    engine.switch("switched", "patterned", history)
    events = drain(engine)
    plan = {0: "everything", 16: "patterned"} if history == "keep" else {0: "patterned"}
    assert_computed_under(case, plan, LONG_PROMPT, events)


@pytest.mark.parametrize("history", ["keep", "recompute"])
def test_a_switch_before_anything_is_computed_is_a_start_under_the_new_adapter(case, engine_for, history) -> None:
    engine = engine_for()
    start(engine, PROMPT, "everything")
    engine.switch("switched", "patterned", history)
    assert_computed_under(case, {0: "patterned"}, PROMPT, drain(engine))


@pytest.mark.parametrize("computed_again", [0, 1], ids=["while it waits", "while it is computed again"])
def test_keep_on_a_preempted_row_keeps_what_its_output_was_computed_from(
    case: Case, engine_for: Any, computed_again: int
) -> None:
    engine = engine_for(kv_cache_tokens=32, max_batch_tokens=6, prefix_cache=False)
    start(engine, random_prompts([9])[0], "rslora", "older")
    start(engine, PROMPT, "everything")
    events: list[TokenEvent] = []
    while engine.scheduler.num_preemptions == 0:
        events += engine.step()
    [row] = [row for row in engine.scheduler.rows if row.request.request_id == "switched"]
    while row.num_computed < computed_again:
        events += engine.step()
    assert row.num_computed < len(row.tokens) - 1, "the row has caught up, so this test shows nothing"
    output = row.num_output
    engine.switch("switched", "patterned", history="keep")
    own = [event for event in [*events, *drain(engine)] if event.request_id == "switched"]
    assert_computed_under(case, {0: "everything", len(PROMPT) + output - 1: "patterned"}, PROMPT, own)


def test_a_preempted_row_waits_until_all_the_adapters_of_its_past_and_future_fit_again(make_engine: MakeEngine) -> None:
    def run(**scarce: Any) -> tuple[Engine, list[int]]:
        base = random_base()
        adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("abc")}
        budget = {"device_budget_bytes": 2 * adapters["a"].nbytes} if scarce else {}
        engine = make_engine(base=base, adapters=adapters, loader=budget, **scarce)
        start(engine, random_prompts([9])[0], "c", "older")
        start(engine, PROMPT, "a")
        events = step(engine, 3)
        engine.switch("switched", "b")
        return engine, tokens_of([*events, *drain(engine)])["switched", 0]

    _, expected = run()
    engine, tokens = run(kv_cache_tokens=32)
    assert engine.scheduler.num_preemptions > 0
    assert tokens == expected


def test_the_rows_beside_a_switched_one_are_left_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    expected = engine.generate([LONG_PROMPT], "blue", request("x", LONG_PROMPT, max_tokens=14).params)[0].token_ids
    engine.add(request("other", LONG_PROMPT, engine.resolve_mix("blue"), max_tokens=14))
    start(engine, PROMPT, "red")
    events = step(engine, 3)
    engine.switch("switched", "blue")
    events += step(engine, 3)
    engine.switch("switched", None, "recompute")
    events += drain(engine)
    assert tuple(tokens_of(events)["other", 0]) == expected


def test_all_rows_of_a_request_switch(make_engine: MakeEngine) -> None:
    engine = make_engine(mixed_prefill_tokens=64)
    red, blue = engine.resolve_mix("red"), engine.resolve_mix("blue")
    engine.add(request("group", PROMPT, red, blue, n=2, seed=4, temperature=1.0, max_tokens=8))
    events = step(engine, 3)
    assert len({event.index for event in events}) == 4
    engine.switch("group", None)
    assert [row.mix for row in engine.scheduler.rows] == [()] * 4
    assert {len(tokens) for tokens in tokens_of(events + drain(engine)).values()} == {8}


def test_a_switch_to_an_unknown_adapter_changes_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [expected] = engine.generate([PROMPT], "red", request("x", PROMPT).params)
    start(engine, PROMPT, "red", max_tokens=8)
    events = step(engine, 3)
    with pytest.raises(AdapterNotFound, match="green"):
        engine.switch("switched", "green")
    events += drain(engine)
    assert tuple(tokens_of(events)["switched", 0]) == expected.token_ids


def test_a_switch_of_a_request_that_does_not_run_is_an_error(make_engine: MakeEngine) -> None:
    engine = make_engine()
    start(engine, PROMPT, None, "over", max_tokens=1)
    drain(engine)
    for name in ("over", "never"):
        with pytest.raises(RequestNotFound, match=name):
            engine.switch(name, "red")


def test_the_old_adapter_stays_as_long_as_the_row_may_need_it_again(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=32)
    start(engine, random_prompts([9])[0], None, "older")
    start(engine, PROMPT, "red")
    step(engine, 3)
    engine.switch("switched", "blue")
    engine.unload_adapter("red")
    events = drain(engine)
    assert engine.scheduler.num_preemptions > 0
    assert [event.error for event in events if event.error] == []
    assert "red@" not in " ".join(engine.stats()["adapters"]["adapters"])
