"""Continuous batching: what a row generates does not depend on who shares its steps."""

from __future__ import annotations

import pytest
import torch

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.errors import AdapterNotFound, CacheFull
from tests.engine.conftest import MakeEngine
from tests.engine.driving import assert_drawn_alike, assert_same_where_safe, drain, request, tokens_of
from tests.tiny_models import CONTEXT, NUM_LAYERS, random_base, random_prompts, random_weights

GREEDY = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True, logprobs=2)
CHOICES = [None, "red", "blue", "red", None, {"red": 0.5, "blue": -0.5}, "blue", "red"]
PROMPTS = random_prompts([3, 11, 1, 25, 8, 17, 30, 2], seed=5)


def alone(engine: Engine, params: SamplingParams = GREEDY) -> list:
    return [engine.generate([p], [c], params)[0] for p, c in zip(PROMPTS, CHOICES, strict=True)]


def test_rows_that_join_and_leave_between_steps_generate_what_they_generate_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_tokens=16)
    expected = alone(engine)
    waiting = [
        request(str(i), prompt, engine.resolve_mix(choice), max_tokens=12 - i % 3)
        for i, (prompt, choice) in enumerate(zip(PROMPTS, CHOICES, strict=True))
    ]
    joined_at_steps = []

    def join() -> None:
        if waiting and engine.num_steps % 2 == 0:
            engine.add(waiting.pop(0))
            joined_at_steps.append(engine.num_steps)

    engine.add(waiting.pop(0))
    events = drain(engine, join)
    assert len(set(joined_at_steps)) == len(PROMPTS) - 1
    for (name, _), tokens in tokens_of(events).items():
        assert len(tokens) == 12 - int(name) % 3
        assert_same_where_safe(tokens, expected[int(name)])


def test_all_rows_at_once_generate_what_they_generate_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    expected = alone(engine)
    for together, single in zip(engine.generate(PROMPTS, CHOICES, GREEDY), expected, strict=True):
        assert_same_where_safe(together.token_ids, single)
        assert together.num_prompt_tokens == single.num_prompt_tokens


@pytest.mark.parametrize("variant", ["llama", "gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("schedule", ["one_shot", "chunked"])
def test_base_rows_are_those_of_the_engine_without_adapters_bit_for_bit(make_engine, variant, schedule) -> None:
    engine = make_engine(variant)
    mixed = engine.logits(PROMPTS, CHOICES, schedule)
    for name in ("red", "blue"):
        engine.unload_adapter(name)
    engine.loader.cleanup_unused_adapters()
    plain = engine.logits(PROMPTS, None, schedule)
    for choice, with_adapters, without in zip(CHOICES, mixed, plain, strict=True):
        assert torch.equal(with_adapters, without) == (choice is None)


def test_a_row_whose_numbers_overflow_does_not_reach_its_neighbours(make_engine: MakeEngine) -> None:
    base = random_base()
    huge = random_weights(base, scaling=1e30)
    engine = make_engine(base=base, adapters={"huge": huge}, kv_cache_tokens=32)
    # The base row takes one block, the broken row all the others, the cache's first one included.
    prompts, params = (
        random_prompts([3, 26]),
        SamplingParams(max_tokens=1, temperature=0.0, logprobs=2, ignore_eos=True),
    )
    expected = engine.generate([prompts[0]], None, SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True))
    engine.add(request("base", prompts[0], max_tokens=2, logprobs=2))
    engine.add(request("huge", prompts[1], engine.resolve_mix("huge"), max_tokens=params.max_tokens + 1))
    events = [event for event in drain(engine) if event.request_id == "base"]
    assert events[0].token_id == expected[0].token_ids[0]
    assert all(event.logprob == event.logprob for event in events), "nan"


def test_preemption_changes_no_token(make_engine: MakeEngine) -> None:
    expected = alone(make_engine())
    cramped = make_engine(kv_cache_tokens=72, max_batch_tokens=24)
    completions = cramped.generate(PROMPTS, CHOICES, GREEDY)
    assert cramped.scheduler.num_preemptions > 0
    for completion, single in zip(completions, expected, strict=True):
        assert completion.finish_reason == "length"
        assert_same_where_safe(completion.token_ids, single)


def test_preemption_changes_no_sampled_token(make_engine: MakeEngine) -> None:
    params = SamplingParams(max_tokens=12, temperature=1.0, seed=7, ignore_eos=True)
    roomy, cramped = make_engine(), make_engine(kv_cache_tokens=72, max_batch_tokens=24)
    expected = roomy.generate(PROMPTS, CHOICES, params)
    actual = cramped.generate(PROMPTS, CHOICES, params)
    assert cramped.scheduler.num_preemptions > 0
    for prompt, choice, here, there in zip(PROMPTS, CHOICES, actual, expected, strict=True):
        assert_drawn_alike(roomy, prompt, choice, 7, here.token_ids, there.token_ids)


def test_a_row_that_is_preempted_once_its_chunk_is_planned_is_left_out_of_the_step(make_engine: MakeEngine) -> None:
    # In the third step the first row takes the last block; the second one then needs it, and is the more urgent.
    prompts = dict(zip("ab", random_prompts([11, 15]), strict=True))
    engine = make_engine(kv_cache_tokens=32)
    single = {name: engine.generate([prompt], "red", GREEDY)[0] for name, prompt in prompts.items()}
    for name, priority in (("a", 1), ("b", 0)):
        engine.add(request(name, prompts[name], engine.resolve_mix("red"), priority=priority, max_tokens=12))
    steps = [engine.step() for _ in range(3)]
    assert [[event.request_id for event in events] for events in steps] == [["a", "b"], ["a", "b"], ["b"]]
    assert engine.scheduler.num_preemptions == 1
    tokens = tokens_of([event for events in steps for event in events] + drain(engine))
    for name in prompts:
        assert_same_where_safe(tokens[name, 0], single[name])


def test_a_row_that_waits_for_blocks_holds_no_adapter_on_the_device(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=32)
    engine.add(request("first", PROMPTS[6][:29], max_tokens=3))
    engine.step()
    engine.add(request("second", PROMPTS[1], engine.resolve_mix("red"), max_tokens=3))
    engine.step()
    assert engine.stats()["rows"] == {"running": 1, "waiting": 1}
    assert engine.check_integrity() == []
    assert engine.stats()["adapters"]["device"]["pinned_bytes"] == 0
    assert len(tokens_of(drain(engine))["second", 0]) == 3


def test_a_decoding_row_gets_a_token_in_every_step_while_a_long_prompt_is_computed(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_tokens=8, mixed_prefill_tokens=8)
    engine.add(request("short", PROMPTS[0], max_tokens=10))
    engine.step()
    engine.add(request("long", PROMPTS[6], max_tokens=1))
    owners = [[event.request_id for event in engine.step()] for _ in range(6)]
    assert owners == [["short"]] * 4 + [["short", "long"], ["short"]]
    drain(engine)


def test_a_step_computes_no_more_tokens_and_rows_than_it_may(make_engine: MakeEngine) -> None:
    engine = make_engine(max_batch_tokens=8, max_rows=3)
    for number, prompt in enumerate(PROMPTS):
        engine.add(request(str(number), prompt, max_tokens=4))
    computed = [0]

    def check() -> None:
        now = engine.stats()["layer_tokens"][0]["computed"]
        assert now - computed[0] <= 8 * NUM_LAYERS
        assert engine.scheduler.num_running <= 3
        computed[0] = now

    drain(engine, check)


# --- sampling noise --------------------------------------------------------------------------------------------------


def test_sampled_tokens_depend_on_the_seed_and_not_on_the_company(make_engine: MakeEngine) -> None:
    engine = make_engine()
    seeded = SamplingParams(max_tokens=10, seed=11, ignore_eos=True)
    single = [engine.generate([p], [c], seeded)[0].token_ids for p, c in zip(PROMPTS, CHOICES, strict=True)]
    together = [completion.token_ids for completion in engine.generate(PROMPTS, CHOICES, seeded)]
    for prompt, choice, here, there in zip(PROMPTS, CHOICES, together, single, strict=True):
        assert_drawn_alike(engine, prompt, choice, 11, here, there)
    other = SamplingParams(max_tokens=10, seed=12, ignore_eos=True)
    assert [c.token_ids for c in engine.generate(PROMPTS, CHOICES, other)] != single


def test_noise_is_a_function_of_seed_choice_and_position_only(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def noise(name: str, prompt: list[int], *mixes: tuple, seed: int, row: int = 0, n: int = 1) -> float:
        rows = engine.add(request(name, prompt, *mixes, seed=seed, n=n, temperature=1.0))
        drawn = rows[row].uniform()
        engine.abort(name)
        return drawn

    reference = noise("a", [5, 6, 7], seed=3)
    assert noise("b", [9, 9, 9], engine.resolve_mix("red"), seed=3) == reference
    assert noise("c", [5, 6, 7], (), engine.resolve_mix("red"), seed=3, row=1) == reference
    assert noise("d", [5, 6, 7], seed=4) != reference
    assert noise("e", [5, 6, 7, 8], seed=3) != reference
    assert noise("f", [5, 6, 7], seed=3, row=1, n=2) != reference


def test_without_a_seed_two_runs_differ(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=())
    params = SamplingParams(max_tokens=20, temperature=2.0, ignore_eos=True)
    first, second = (engine.generate([PROMPTS[0]], None, params)[0].token_ids for _ in range(2))
    assert first != second


# --- groups of rows --------------------------------------------------------------------------------------------------


def test_n_choices_differ_and_the_first_is_that_of_a_single_one(make_engine: MakeEngine) -> None:
    engine = make_engine()
    one, three = (
        [
            c.token_ids
            for c in engine.generate([PROMPTS[1]], "red", SamplingParams(max_tokens=9, seed=1, n=n, ignore_eos=True))
        ]
        for n in (1, 3)
    )
    assert len(set(three)) == 3
    assert three[0] == one[0]


def test_a_fork_answers_one_prompt_under_each_mix_with_n_choices_each(make_engine: MakeEngine) -> None:
    engine = make_engine()
    fork = ["blue", None, {"red": 0.5, "blue": 0.5}]
    params = SamplingParams(max_tokens=6, seed=2, n=2, ignore_eos=True)
    completions = engine.generate([PROMPTS[1]], fork=fork, params=params)
    separate = [c.token_ids for choice in fork for c in engine.generate([PROMPTS[1]], choice, params)]
    assert [completion.token_ids for completion in completions] == separate
    assert len(set(separate)) == 6
    digests = [completion.weights_digest for completion in completions]
    assert digests == [engine.resolve_mix("blue")[0].adapter] * 2 + [None] * 4


# --- lengths and ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("max_tokens", "expected"), [(0, 0), (1, 1), (9, 9), (None, CONTEXT - 11)])
def test_max_tokens(make_engine: MakeEngine, max_tokens: int | None, expected: int) -> None:
    engine = make_engine(adapters=())
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    [completion] = engine.generate([PROMPTS[1]], None, params)
    assert (len(completion.token_ids), completion.finish_reason) == (expected, "length")
    assert engine.stats()["tokens_generated"] == expected


def test_a_prompt_may_fill_the_context(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=())
    [completion] = engine.generate([random_prompts([CONTEXT - 1])[0]], None, SamplingParams(max_tokens=None))
    assert len(completion.token_ids) == 1
    assert [tuple(logits.shape) for logits in engine.logits(random_prompts([CONTEXT]))] == [(CONTEXT, 199)]


def test_the_end_of_text_token_ends_a_row_unless_told_to_go_on(make_engine: MakeEngine) -> None:
    plain = make_engine(adapters=())
    [going_on] = plain.generate([PROMPTS[1]], None, GREEDY)
    end = going_on.token_ids[5]
    first = going_on.token_ids.index(end)
    engine = make_engine(adapters=(), base=random_base(eos_token_id=end))
    [stopped] = engine.generate([PROMPTS[1]], None, SamplingParams(max_tokens=12, temperature=0.0))
    assert (stopped.token_ids, stopped.finish_reason) == (going_on.token_ids[: first + 1], "stop")
    [ignoring] = engine.generate([PROMPTS[1]], None, GREEDY)
    assert (ignoring.token_ids, ignoring.finish_reason) == (going_on.token_ids, "length")


def test_every_row_ends_in_exactly_one_final_event_and_positions_are_consecutive(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=96)
    for number, prompt in enumerate(PROMPTS):
        engine.add(request(str(number), prompt, (), engine.resolve_mix("red"), n=1 + number % 2, max_tokens=number))
    events = drain(engine)
    rows = {(event.request_id, event.index) for event in events}
    assert len(rows) == 2 * (4 * 1 + 4 * 2)
    for name, index in rows:
        own = [event for event in events if (event.request_id, event.index) == (name, index)]
        assert [event.finish_reason is not None for event in own] == [False] * (len(own) - 1) + [True]
        start = len(PROMPTS[int(name)])
        positions = [event.position for event in own if event.token_id is not None]
        assert positions == list(range(start, start + int(name)))
        assert {event.num_prompt_tokens for event in own} == {start}


# --- adapters and memory ---------------------------------------------------------------------------------------------


def test_more_adapters_than_fit_the_device_take_turns(make_engine: MakeEngine) -> None:
    base = random_base()
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("abcd")}
    expected = [
        make_engine(base=random_base(), adapters=adapters).generate([PROMPTS[1]], n, GREEDY)[0] for n in adapters
    ]
    budget = 2 * adapters["a"].nbytes
    engine = make_engine(base=base, adapters=adapters, loader={"device_budget_bytes": budget})
    names = list(adapters) * 3
    for name, completion in zip(names, engine.generate([PROMPTS[1]] * 12, names, GREEDY), strict=True):
        assert_same_where_safe(completion.token_ids, expected["abcd".index(name)])
    assert engine.stats()["adapters"]["device"]["used_bytes"] <= budget


def test_a_mix_that_can_never_fit_the_device_is_refused_with_both_numbers(make_engine: MakeEngine) -> None:
    base = random_base()
    adapters = {name: random_weights(base, seed=seed) for seed, name in enumerate("abc")}
    each = adapters["a"].nbytes
    engine = make_engine(base=base, adapters=adapters, loader={"device_budget_bytes": 2 * each})
    with pytest.raises(CacheFull, match=rf"{3 * each} bytes.*{2 * each}"):
        engine.generate([PROMPTS[0]], dict.fromkeys("abc", 1.0), GREEDY)
    assert engine.generate([PROMPTS[0]], {"a": 1.0, "b": 1.0}, GREEDY)[0].finish_reason == "length"


def test_an_adapter_that_is_unloaded_while_in_use_is_freed_when_its_last_request_ends(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=("red",))
    [expected] = engine.generate([PROMPTS[0]], "red", GREEDY)
    engine.add(request("running", PROMPTS[0], engine.resolve_mix("red"), max_tokens=12))
    for _ in range(4):
        engine.step()
    engine.unload_adapter("red")
    with pytest.raises(AdapterNotFound):
        engine.resolve_mix("red")
    assert engine.stats()["adapters"]["host"]["used_bytes"] > 0
    events = drain(engine)
    assert_same_where_safe([*expected.token_ids[:4], *tokens_of(events)["running", 0]], expected)
    assert engine.stats()["adapters"]["host"]["used_bytes"] == 0
    assert engine.stats()["adapters"]["device"]["used_bytes"] == 0
