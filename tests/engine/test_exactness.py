"""Whatever happens to a row, its logits are those of a cold run: the same tokens under the same mixes, alone.

What happens: forks, blocks taken over, prompts in chunks, preemptions and switches, at contexts far over every window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.errors import Overloaded, RequestNotFound
from adaptrix_core.injection.lora import LoraWeights
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.histories import Histories
from tests.tiny_models import CONFIGS, WINDOW, random_base, random_prompts, random_weights

CUT, BLOCK = 2, 4
SHARED, OTHER = random_prompts([27, 18], seed=5)
"""Both several windows long."""
SAME_BEGINNING = [*SHARED[:18], *OTHER[:5]]


def adapters_around_the_cut(variant: str) -> dict[str, LoraWeights]:
    """Keys and values at the cut adapted, and left alone; one adapter that begins below it, one that begins above."""
    base = random_base(variant)
    places = {
        "kv": lambda layer, module: layer >= CUT,
        "no_kv": lambda layer, module: layer >= CUT and not (layer == CUT and module.endswith(("k_proj", "v_proj"))),
        "low": lambda layer, module: layer in (0, 3) and module.endswith(("v_proj", "up_proj")),
        "high": lambda layer, module: layer == CUT + 1,
    }
    return {
        name: random_weights(base, [p for p in base.points if chosen(*p)], rank=2 + seed, seed=seed)
        for seed, (name, chosen) in enumerate(places.items())
    }


@pytest.mark.parametrize("variant", list(CONFIGS))
def test_forks_preemptions_and_switches_leave_the_logits_of_a_cold_run(make_engine: MakeEngine, variant: str) -> None:
    adapters = adapters_around_the_cut(variant)
    cold = make_engine(variant, adapters, prefix_cache=False)
    engine = make_engine(variant, adapters, cut=CUT, kv_cache_tokens=80, max_batch_tokens=10, short_prompt_tokens=1)
    histories = Histories(engine)
    histories.add("fork", SHARED, "kv", None, "no_kv", "kv")
    histories.step(4)
    histories.add("kept", SAME_BEGINNING, "high", max_tokens=16)
    histories.add("low", OTHER, "low", None)
    switches = {
        6: ("fork", "high", "keep"),
        8: ("kept", "kv", "keep"),
        12: ("low", "no_kv", "recompute"),
        14: ("kept", "low", "keep"),
        18: ("fork", "no_kv", "recompute"),
        22: ("kept", None, "keep"),
    }
    started = engine.num_steps

    def switch() -> None:
        if (change := switches.pop(engine.num_steps - started, None)) is not None:
            histories.switch(*change)

    histories.drain(switch)
    assert not switches
    histories.add("hits", [*SHARED[:24], *OTHER], "kv", "low", None)
    histories.drain()

    assert engine.scheduler.num_preemptions > 3
    assert min(engine.prefixes.hit_tokens) > 0
    assert max(len(passage.row.tokens) for passage in histories.passages) > 6 * WINDOW
    assert histories.check(cold) == 4 * 12 + 16 + 2 * 12 + 3 * 12


def test_a_trunk_that_was_taken_over_is_not_kept_beyond_a_switch_to_an_adapter_below_the_cut(
    make_engine: MakeEngine,
) -> None:
    adapters = adapters_around_the_cut("llama")
    cold = make_engine(adapters=adapters, prefix_cache=False)
    engine = make_engine(adapters=adapters, cut=CUT, max_batch_tokens=10)
    histories = Histories(engine)
    histories.add("first", SHARED, "kv")
    histories.drain()
    histories.add("switched", SHARED, "high")
    histories.step()
    [row] = engine.scheduler.rows
    assert row.computed == [24, 10], "the trunk is ahead of the branch"
    histories.switch("switched", "low", "keep")
    histories.drain()
    assert histories.check(cold) == 24


# --- any history -----------------------------------------------------------------------------------------------------

PROMPTS = (SHARED, SAME_BEGINNING, [*SHARED, *OTHER[:9]], OTHER)
NAMES = (None, "kv", "no_kv", "low", "high")
examples = count()

adds = st.tuples(st.just("add"), st.sampled_from(PROMPTS), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
switches = st.tuples(
    st.just("switch"), st.integers(0, 9), st.sampled_from(NAMES), st.sampled_from(["keep", "recompute"])
)
steps = st.tuples(st.just("step"), st.integers(1, 8))
aborts = st.tuples(st.just("abort"), st.integers(0, 9))


@pytest.fixture(scope="module", params=["mistral", "gemma3"])
def engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, save_adapter: Callable[..., Path]
) -> Iterator[tuple[Engine, Engine]]:
    """One whose cache holds two prompts or three, and one for cold runs."""
    adapters = adapters_around_the_cut(request.param)
    cramped = EngineOptions(max_rows=4, max_batch_tokens=10, max_queue=8, block_size=BLOCK, kv_cache_tokens=80, cut=CUT)
    built = [
        Engine(random_base(request.param), tmp_path_factory.mktemp("catalogue"), TrustPolicy("off"), options)
        for options in (cramped, EngineOptions(prefix_cache=False))
    ]
    for engine in built:
        for name, weights in adapters.items():
            engine.load_adapter(save_adapter(engine.base, name, weights), name)
    yield built[0], built[1]
    for engine in built:
        engine.loader.close()


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(st.one_of(adds, switches, steps, steps, aborts), min_size=4, max_size=16))
def test_any_history_leaves_the_logits_of_a_cold_run(engines: tuple[Engine, Engine], actions: list) -> None:
    engine, cold = engines
    histories = Histories(engine, salt=str(next(examples)).encode())
    histories.add("0", SHARED, "kv", "low")  # so that the actions have something to meet
    histories.add("1", SHARED, "no_kv")
    asked = ["0", "1"]
    for kind, *arguments in actions:
        if kind == "add":
            name = str(len(asked))
            with suppress(Overloaded):
                histories.add(name, arguments[0], *arguments[1], max_tokens=8)
                asked.append(name)
        elif kind == "step":
            histories.step(*arguments)
        else:
            which, *how = arguments
            with suppress(RequestNotFound):
                getattr(histories, kind)(asked[which % len(asked)], *how)
        assert engine.check_integrity() == []
    histories.drain()
    assert idle_faults(engine) == []
    histories.check(cold)
