"""The simulator against sums done by hand, a slow reference, and what queueing and caching theory say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from cluster.simulation.engine_model import EngineModel, StepCost
from cluster.simulation.policies import POLICIES, Affinity, ConsistentHash, PowerOfTwo, RoundRobin
from cluster.simulation.simulate import Simulation, simulate
from loadtest.records import Record
from loadtest.workload import Arrival, WorkloadSpec, generate, shares
from tests.cluster.naive import naive_run

COST = StepCost(base_s=1.0, row_s=0.1, prefill_token_s=0.01)
ENGINE = EngineModel(
    COST, max_rows=2, max_batch_tokens=100, mixed_prefill_tokens=10, short_prompt_tokens=20, adapter_slots=4, load_s=5.0
)


def first_and_end(records: list[Record]) -> list[tuple[float, float]]:
    assert all(record.succeeded for record in records)
    return [(record.first_token_s or 0.0, record.end_s or 0.0) for record in records]


def one_replica(engine: EngineModel, *arrivals: Arrival) -> list[Record]:
    return simulate(engine, 1, RoundRobin(0), arrivals)


def test_one_request_takes_its_load_its_prompt_and_its_steps() -> None:
    (record,) = one_replica(ENGINE, Arrival(0, 2.0, 7, 30, 4))
    assert record.first_token_s == pytest.approx(2.0 + 5.0 + 1.3)
    assert record.end_s == pytest.approx(2.0 + 5.0 + 1.3 + 3 * 1.1)
    assert (record.warm, record.output_tokens) == (False, 4)


def test_a_prompt_longer_than_a_step_takes_several() -> None:
    (record,) = one_replica(dataclasses.replace(ENGINE, load_s=0.0), Arrival(0, 0.0, 0, 130, 1))
    assert first_and_end([record]) == [(pytest.approx(2.0 + 1.0 + 0.3), pytest.approx(3.3))]


def test_a_prompt_beside_a_decoding_row_is_computed_in_small_parts() -> None:
    engine = dataclasses.replace(ENGINE, load_s=0.0)
    # The first row's prompt ends at 1.1; the second one's 22 tokens are two steps of 11 beside its decoding, from 2.2
    # on, where the step in progress ends.
    records = one_replica(engine, Arrival(0, 0.0, 0, 10, 9), Arrival(1, 1.5, 0, 22, 1))
    assert records[1].first_token_s == pytest.approx(2.2 + 2 * (1.0 + 0.1 + 0.11))
    assert records[0].end_s == pytest.approx(1.1 + 8 * 1.1 + 2 * 0.11)


def test_a_full_batch_makes_the_third_request_wait() -> None:
    engine = dataclasses.replace(ENGINE, load_s=0.0)
    records = one_replica(engine, *(Arrival(index, 0.0, 0, 10, 3) for index in range(3)))
    # The first step is the first request's alone, the second one the other's prompt beside it, and in the third it
    # ends.
    assert records[0].end_s == pytest.approx(1.1 + 1.2 + 1.2)
    assert records[2].first_token_s == pytest.approx(3.5 + 1.2)


def test_loads_wait_for_each_other_and_requests_share_one() -> None:
    records = one_replica(ENGINE, Arrival(0, 0.0, 1, 10, 1), Arrival(1, 0.0, 2, 10, 1), Arrival(2, 1.0, 2, 10, 1))
    assert [record.first_token_s for record in records] == pytest.approx([6.1, 11.2, 11.2])


def test_an_adapter_in_use_is_never_evicted() -> None:
    engine = dataclasses.replace(ENGINE, adapter_slots=1)
    records = one_replica(engine, Arrival(0, 0.0, 1, 10, 50), Arrival(1, 1.0, 2, 10, 1), Arrival(2, 200.0, 1, 10, 1))
    assert records[0].end_s == pytest.approx(5.0 + 1.1 + 49 * 1.1)
    assert records[1].first_token_s == pytest.approx(records[0].end_s + 5.0 + 1.1)
    assert records[2].warm is False


def test_routers_are_told_of_evictions() -> None:
    simulation = Simulation(dataclasses.replace(ENGINE, adapter_slots=1), 1, RoundRobin(0))
    simulation.run([Arrival(0, 0.0, 1, 10, 1), Arrival(1, 50.0, 2, 10, 1)])
    assert (simulation.holders(1), simulation.holders(2)) == (set(), {0})


REQUESTS = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 250), st.integers(1, 12)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.integers(1, 4))
def test_many_steps_taken_as_one_event_change_nothing(wanted: list[tuple[float, int, int]], max_rows: int) -> None:
    # Hundredths, and a little more each: no request comes in the very moment in which a step of an earlier one ends.
    times = [
        0.01 * hundredths + 1e-5 * i for i, hundredths in enumerate(np.cumsum([gap for gap, _, _ in wanted]).tolist())
    ]
    arrivals = [Arrival(i, at, 0, p, o) for i, (at, (_, p, o)) in enumerate(zip(times, wanted, strict=True))]
    engine = dataclasses.replace(ENGINE, max_rows=max_rows, load_s=0.0)
    warm = Arrival(-1, 0.0, 0, 1, 1)  # loads the adapter, and has ended before the others come
    shifted = [dataclasses.replace(arrival, at_s=arrival.at_s + 2.0) for arrival in arrivals]
    records = one_replica(engine, warm, *shifted)[1:]
    for got, expected in zip(first_and_end(records), naive_run(engine, shifted), strict=True):
        assert got == pytest.approx(expected)


@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
def test_waiting_in_front_of_a_single_row_is_that_of_an_m_d_1_queue(utilisation: float) -> None:
    engine = EngineModel(StepCost(0.5, 0.0, 0.0), max_rows=1, load_s=0.0)
    service_s = 0.5 * 4  # the prompt's step, and three more tokens
    spec = WorkloadSpec(100_000, utilisation / service_s, 1, prompt_tokens=(5, 6), output_tokens=(4, 5), seed=3)
    records = one_replica(engine, *generate(spec))
    waits = [(record.end_s or 0.0) - record.due_s - service_s for record in records]
    theory = utilisation * service_s / (2 * (1 - utilisation))  # Pollaczek-Khinchine, deterministic service
    assert np.mean(waits) == pytest.approx(theory, rel=0.04)


def instant(slots: int) -> EngineModel:
    """A replica on which requests take no time, so that only its memory of adapters matters."""
    return EngineModel(StepCost(1e-9, 0.0, 0.0), adapter_slots=slots, load_s=0.0)


def hit_rate(spec: WorkloadSpec, slots: int) -> float:
    records = one_replica(instant(slots), *generate(spec))
    return float(np.mean([bool(record.warm) for record in records[len(records) // 4 :]]))


def test_a_least_recently_used_cache_under_uniform_requests_hits_its_share() -> None:
    spec = WorkloadSpec(40_000, 1.0, 100, prompt_tokens=(1, 2), output_tokens=(1, 2))
    assert hit_rate(spec, 30) == pytest.approx(0.30, abs=0.01)


def test_a_least_recently_used_cache_under_skewed_requests_hits_as_ches_approximation_says() -> None:
    spec = WorkloadSpec(60_000, 1.0, 500, alpha=0.4, prompt_tokens=(1, 2), output_tokens=(1, 2))
    share, slots = shares(spec), 50
    characteristic = brentq(lambda t: (1 - np.exp(-share * t)).sum() - slots, 1.0, 1e6)
    theory = float((share * (1 - np.exp(-share * characteristic))).sum())  # Che, Tung, Wang 2002
    assert theory > 2 * slots / 500
    assert hit_rate(spec, slots) == pytest.approx(theory, abs=0.01)


class Loads:
    """What a policy sees: loads, and who holds which adapter."""

    def __init__(self, loads: list[int], held: dict[int, set[int]] | None = None) -> None:
        self.loads = loads
        self._held = held or {}

    def holders(self, adapter: int) -> set[int]:
        return self._held.get(adapter, set())


def test_round_robin_takes_each_in_turn() -> None:
    policy = RoundRobin(0)
    assert sorted(policy.choose(0, Loads([9, 0, 0])) for _ in range(3)) == [0, 1, 2]


def test_power_of_two_never_takes_the_most_loaded_and_reaches_the_rest() -> None:
    policy = PowerOfTwo(0)
    chosen = [policy.choose(0, Loads([5, 1, 1, 1])) for _ in range(200)]
    assert set(chosen) == {1, 2, 3}


def test_consistent_hashing_keeps_an_adapter_in_place_and_spreads_them() -> None:
    policy = ConsistentHash(0)
    idle = Loads([0] * 8)
    homes = [policy.choose(adapter, idle) for adapter in range(4000)]
    assert homes == [policy.choose(adapter, idle) for adapter in range(4000)]
    assert np.bincount(homes, minlength=8).min() > 4000 / 8 / 2


def test_consistent_hashing_moves_few_adapters_when_a_replica_joins() -> None:
    before, after = ConsistentHash(0), ConsistentHash(0)
    moved = [before.choose(a, Loads([0] * 8)) != after.choose(a, Loads([0] * 9)) for a in range(2000)]
    assert np.mean(moved) < 2 / 9


def test_consistent_hashing_bounds_every_load() -> None:
    policy, cluster = ConsistentHash(0, bound=1.25), Loads([0] * 10)
    for _ in range(400):  # one adapter is all that is asked for, and nothing ends
        cluster.loads[policy.choose(3, cluster)] += 1
        assert max(cluster.loads) <= math.ceil(1.25 * (sum(cluster.loads) + 1) / 10)


def test_affinity_stays_with_a_holder_until_it_is_busy() -> None:
    policy = Affinity(0, spill=4, bound=0.0)
    assert policy.choose(1, Loads([3, 0, 0], {1: {0}})) == 0
    assert policy.choose(1, Loads([4, 0, 0], {1: {0}})) in (1, 2)
    assert policy.choose(1, Loads([4, 2, 0], {1: {0, 1}})) == 1
    assert policy.choose(1, Loads([4, 4, 4], {1: {1}})) == 1  # nobody is better off
    assert policy.choose(2, Loads([1, 0, 1], {1: {0}})) == 1  # nobody holds it


def test_affinity_under_backlog_counts_as_busy_who_has_more_than_the_others() -> None:
    policy = Affinity(0, spill=4, bound=1.25)
    assert policy.choose(1, Loads([31, 29, 30], {1: {0}})) == 0  # above the spill, as all are
    assert policy.choose(1, Loads([50, 20, 20], {1: {0}})) in (1, 2)
    assert Affinity(0, spill=4, bound=0.0).choose(1, Loads([31, 29, 30], {1: {0}})) == 1


def test_a_fixed_spill_gives_affinity_up_where_loads_pile_up_and_a_bound_on_the_mean_does_not() -> None:
    spec = WorkloadSpec(4000, 80.0, 200, prompt_tokens=(5, 20), output_tokens=(1, 5))
    engine = EngineModel(StepCost(0.02, 0.001, 0.0005), adapter_slots=40, load_s=1.0)
    hits = {}
    for name in ("affinity", "affinity, fixed spill"):
        records = simulate(engine, 8, POLICIES[name](1), generate(spec))
        hits[name] = np.mean([bool(record.warm) for record in records[2000:]])
    assert hits["affinity"] > 2 * hits["affinity, fixed spill"]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_serves_every_request_and_runs_again_alike(name: str) -> None:
    spec = WorkloadSpec(400, 8.0, 40, alpha=0.5, prompt_tokens=(5, 60), output_tokens=(1, 20))
    engine = EngineModel(StepCost(0.02, 0.001, 0.0005), max_rows=4, adapter_slots=5, load_s=0.1)
    once, again = (simulate(engine, 3, POLICIES[name](1), generate(spec)) for _ in range(2))
    assert once == again
    assert [record.index for record in once] == list(range(400))
    for record, arrival in zip(once, generate(spec), strict=True):
        assert record.succeeded
        assert record.output_tokens == arrival.output_tokens
        assert arrival.at_s < (record.first_token_s or 0.0) <= (record.end_s or 0.0)


def test_affinity_finds_adapters_where_round_robin_does_not() -> None:
    spec = WorkloadSpec(3000, 4.0, 60, prompt_tokens=(5, 20), output_tokens=(1, 5))
    engine = EngineModel(StepCost(0.02, 0.001, 0.0005), adapter_slots=20, load_s=0.1)
    hits = {}
    for name in ("affinity", "round robin"):
        records = simulate(engine, 4, POLICIES[name](1), generate(spec))
        hits[name] = np.mean([bool(record.warm) for record in records[1000:]])
    assert hits["round robin"] == pytest.approx(20 / 60, abs=0.04)  # each replica keeps a third of all
    assert hits["affinity"] > 0.95  # together they have room for all
