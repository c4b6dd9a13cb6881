"""Workloads have the statistics that their papers give, and a seed makes them again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from adaptrix_core.errors import InvalidRequest
from loadtest.workload import POPULARITIES, Popularity, WorkloadSpec, chosen_adapters, generate, shares

MANY = WorkloadSpec(requests=40_000, rate=5.0, adapters=200)


def observed_shares(spec: WorkloadSpec) -> np.ndarray:
    adapters = [arrival.adapter for arrival in generate(spec)]
    return np.bincount(adapters, minlength=spec.adapters) / spec.requests


@pytest.mark.parametrize(("alpha", "share"), [(1.0, 0.005), (0.6, 0.0416), (0.3, 0.204), (0.1, 0.589)])
def test_the_power_law_gives_the_first_adapter_the_published_share(alpha: float, share: float) -> None:
    spec = dataclasses.replace(MANY, alpha=alpha)
    assert shares(spec)[0] == pytest.approx(share, rel=0.01)
    assert observed_shares(spec)[0] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("popularity", POPULARITIES)
def test_what_is_drawn_has_the_stated_shares(popularity: Popularity) -> None:
    spec = dataclasses.replace(MANY, adapters=50, popularity=popularity, alpha=0.4)
    assert shares(spec).sum() == pytest.approx(1.0)
    assert np.abs(observed_shares(spec) - shares(spec)).max() < 0.01


def test_punicas_distributions() -> None:
    def drawn(popularity: Popularity, adapters: int = 50) -> np.ndarray:
        return shares(dataclasses.replace(MANY, adapters=adapters, popularity=popularity))

    assert drawn("identical")[0] == 1.0
    assert np.count_nonzero(drawn("distinct")) == 50
    assert np.count_nonzero(drawn("uniform")) == 8  # the square root of 50, rounded up
    assert np.count_nonzero(drawn("uniform", 49)) == 7
    assert drawn("skewed")[:-1] / drawn("skewed")[1:] == pytest.approx(1.5)


def test_distinct_repeats_no_adapter_before_all_have_been_asked_for() -> None:
    spec = dataclasses.replace(MANY, requests=60, adapters=50, popularity="distinct")
    assert len(set(chosen_adapters(spec, np.random.default_rng(0))[:50])) == 50


@pytest.mark.parametrize("cv", [0.5, 1.0, 4.0])
def test_gaps_between_arrivals_have_rate_and_variation(cv: float) -> None:
    times = [arrival.at_s for arrival in generate(dataclasses.replace(MANY, cv=cv))]
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(1 / 5.0, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_a_cv_of_one_is_a_poisson_process() -> None:
    times = np.array([arrival.at_s for arrival in generate(MANY)])
    counts = np.bincount(times.astype(int))[:-1]
    assert counts.var() / counts.mean() == pytest.approx(1.0, rel=0.06)


def test_lengths_fill_their_range_evenly() -> None:
    spec = dataclasses.replace(MANY, prompt_tokens=(10, 20), output_tokens=(1, 2))
    prompts = np.array([arrival.prompt_tokens for arrival in generate(spec)])
    assert (np.bincount(prompts, minlength=20)[10:] / spec.requests) == pytest.approx(0.1, abs=0.01)
    assert {arrival.output_tokens for arrival in generate(spec)} == {1}


def test_a_seed_makes_the_workload_again_and_another_does_not() -> None:
    spec = dataclasses.replace(MANY, requests=50)
    assert generate(spec) == generate(spec)
    assert generate(spec) != generate(dataclasses.replace(spec, seed=43))


def test_another_rate_changes_times_only() -> None:
    slow, fast = (generate(dataclasses.replace(MANY, requests=50, rate=rate)) for rate in (1.0, 2.0))
    assert [a.at_s for a in slow] == pytest.approx([2 * a.at_s for a in fast])
    assert [dataclasses.replace(a, at_s=0) for a in slow] == [dataclasses.replace(a, at_s=0) for a in fast]


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 0},
        {"rate": -1.0},
        {"adapters": 0},
        {"cv": float("nan")},
        {"popularity": "zipf"},
        {"prompt_tokens": (0, 5)},
        {"output_tokens": (5, 5)},
    ],
)
def test_a_wrong_spec_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=f"workload {next(iter(wrong))} is"):
        dataclasses.replace(MANY, **wrong)
