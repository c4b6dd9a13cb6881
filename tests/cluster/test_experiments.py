"""Cases, fits and sweeps: the parts around the simulator do what their tables and plots say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from adaptrix_core.errors import InvalidRequest
from cluster.simulation.cases import AXES, Case, on_axis, product, star
from cluster.simulation.engine_model import EngineModel, MeasuredStep, StepCost, fit_steps, load_model, median_error
from cluster.simulation.plots import draw
from cluster.simulation.policies import RoundRobin
from cluster.simulation.simulate import simulate
from cluster.simulation.sweep import Conditions, run_case, workload_of
from loadtest.workload import WorkloadSpec, generate
from tests.serving.servers import PROJECT

COST = StepCost(0.005, 0.003, 0.002)
ENGINE = EngineModel(COST, adapter_slots=8, load_s=0.01)
CENTRE = Case(replicas=2, adapters=20, alpha=0.5, utilisation=0.6, load_s=0.05)
VALUES = {"replicas": (1, 2), "adapters": (20,), "alpha": (0.5, 1.0), "utilisation": (0.6,), "load_s": (0.05,)}


def test_the_fit_finds_the_coefficients_that_made_the_times() -> None:
    steps = [MeasuredStep(r, p, COST.seconds(r, p)) for r, p in ((0, 16), (4, 0), (32, 0), (8, 16), (0, 512))]
    fitted = fit_steps(steps)
    assert dataclasses.astuple(fitted) == pytest.approx(dataclasses.astuple(COST))
    assert median_error(fitted, steps) == pytest.approx(0.0, abs=1e-9)


def test_the_fit_weighs_short_steps_as_much_as_long_ones() -> None:
    steps = [MeasuredStep(1, 0, 0.010), MeasuredStep(2, 0, 0.012), MeasuredStep(0, 500, 1.5), MeasuredStep(0, 250, 0.5)]
    assert fit_steps(steps).seconds(1, 0) == pytest.approx(0.010, rel=0.05)


def test_no_coefficient_is_negative() -> None:
    steps = [MeasuredStep(1, 0, 0.02), MeasuredStep(2, 0, 0.01), MeasuredStep(0, 10, 0.03)]
    assert min(dataclasses.astuple(fit_steps(steps))) >= 0.0


def test_two_steps_are_too_few_for_a_fit() -> None:
    with pytest.raises(InvalidRequest, match="2 steps were measured"):
        fit_steps([MeasuredStep(1, 0, 0.1), MeasuredStep(2, 0, 0.2)])


def test_the_engine_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    ENGINE.save(tmp_path / "model.json")
    assert load_model(tmp_path / "model.json") == ENGINE


def test_the_calibration_in_the_repository_is_one() -> None:
    engine = load_model(PROJECT / "cluster" / "simulation" / "calibration.json")
    assert 0 < engine.step.seconds(1, 0) < engine.step.seconds(32, 0) < 1


def test_capacity_is_what_a_replica_that_always_has_work_serves() -> None:
    spec = WorkloadSpec(2000, 1000.0, 1, prompt_tokens=(1, 2), output_tokens=(20, 60))
    records = simulate(dataclasses.replace(ENGINE, load_s=0.0), 1, RoundRobin(0), generate(spec))
    served = len(records) / max(record.end_s or 0.0 for record in records)
    assert served == pytest.approx(ENGINE.capacity(1, 39.5), rel=0.05)


def test_a_star_changes_one_axis_at_a_time() -> None:
    cases = star(CENTRE, VALUES)
    assert cases == [CENTRE, dataclasses.replace(CENTRE, replicas=1), dataclasses.replace(CENTRE, alpha=1.0)]
    assert len(product(CENTRE, VALUES)) == 4
    assert on_axis(cases[1], CENTRE, "replicas")
    assert not on_axis(cases[1], CENTRE, "alpha")


def test_a_workloads_rate_is_a_share_of_what_all_replicas_serve() -> None:
    one, two = (workload_of(dataclasses.replace(CENTRE, replicas=n), ENGINE, Conditions()) for n in (1, 2))
    assert two.rate == pytest.approx(2 * one.rate)
    assert one.rate == pytest.approx(0.6 * ENGINE.capacity(67.5, 35.5))
    assert (one.requests, two.requests) == (400, 800)


def test_a_sweep_gives_a_result_per_policy_and_draws_the_axes_that_vary(tmp_path: Path) -> None:
    conditions = Conditions(requests_per_replica=40)
    results = [
        r for case in star(CENTRE, VALUES) for r in run_case(case, ENGINE, conditions, ["affinity", "round robin"])
    ]
    assert [(r.case.replicas, r.case.alpha, r.policy) for r in results] == [
        (replicas, alpha, policy)
        for replicas, alpha in ((2, 0.5), (1, 0.5), (2, 1.0))
        for policy in ("affinity", "round robin")
    ]
    assert all(result.summary.failed == 0 for result in results)
    assert results[0].summary.requests == 40  # the second half of 80
    written = draw(results, CENTRE, tmp_path, "title")
    assert [path.name for path in written] == ["scaling-replicas.png", "scaling-alpha.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_slower_loads_lower_attainment() -> None:
    quick, slow = (
        next(iter(run_case(dataclasses.replace(CENTRE, load_s=s), ENGINE, Conditions(80), ["round robin"]))).summary
        for s in (0.0, 2.0)
    )
    assert quick.slo_attainment > slow.slo_attainment
    assert quick.hit_rate < 1.0


def test_results_are_plain_json() -> None:
    (result,) = run_case(CENTRE, ENGINE, Conditions(20), ["power of two"])
    assert json.loads(json.dumps(dataclasses.asdict(result)))["policy"] == "power of two"
    assert set(dataclasses.asdict(result.case)) == set(AXES)
