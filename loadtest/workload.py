"""Who asks for which adapter, when, and for how much: the workloads of S-LoRA and Punica, seeded.

Popularity ``power`` is S-LoRA's (Sheng et al., MLSys 2024, `benchmarks/harness/trace.py`): adapter ``floor(n * x)``
with x of density ``alpha * x**(alpha - 1)``, so adapter 0 has the share ``(1/n)**alpha``; alpha 1 is uniform,
smaller is more skewed. The other four are Punica's (Chen et al., MLSys 2024, section 7). Gaps between arrivals are
gamma distributed with mean ``1 / rate`` and coefficient of variation ``cv``; cv 1 is a Poisson process. Knows no
servers and no simulator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.errors import InvalidRequest

Popularity = Literal["power", "distinct", "uniform", "skewed", "identical"]
POPULARITIES: tuple[Popularity, ...] = get_args(Popularity)

SKEW_RATIO = 1.5
"""Punica's ``skewed``: each adapter is asked for this many times as often as the next one."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class WorkloadSpec:
    """Everything that determines a workload; equal specs make equal workloads."""

    requests: int
    rate: float
    """Requests per second on average."""
    adapters: int
    popularity: Popularity = "power"
    alpha: float = 1.0
    """Exponent of ``power``; the others do not use it."""
    cv: float = 1.0
    """Standard deviation of the gaps between arrivals over their mean."""
    prompt_tokens: tuple[int, int] = (8, 512)
    """Drawn uniformly, the upper end excluded; S-LoRA's range."""
    output_tokens: tuple[int, int] = (8, 512)
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("requests", "rate", "adapters", "alpha", "cv"):
            if not getattr(self, name) > 0:
                raise InvalidRequest(f"workload {name} is {getattr(self, name)}; it must be above 0", param=name)
        if self.popularity not in POPULARITIES:
            known = ", ".join(POPULARITIES)
            raise InvalidRequest(
                f"workload popularity is {self.popularity!r}; choose one of {known}", param="popularity"
            )
        for name in ("prompt_tokens", "output_tokens"):
            low, high = getattr(self, name)
            if not 1 <= low < high:
                raise InvalidRequest(f"workload {name} is [{low}, {high}); give 1 <= low < high", param=name)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: when it is due, in seconds from the start, and what it asks for."""

    index: int
    at_s: float
    adapter: int
    prompt_tokens: int
    output_tokens: int


def generate(spec: WorkloadSpec) -> list[Arrival]:
    """The workload of ``spec``, by time of arrival.

    Each property has a random stream of its own: changing the rate leaves lengths and adapters as they were.
    """
    gaps, popular, prompts, outputs = (np.random.default_rng(s) for s in np.random.SeedSequence(spec.seed).spawn(4))
    times = arrival_times(spec, gaps)
    adapters = chosen_adapters(spec, popular)
    prompt_lengths = prompts.integers(*spec.prompt_tokens, spec.requests)
    output_lengths = outputs.integers(*spec.output_tokens, spec.requests)
    columns = (times.tolist(), adapters.tolist(), prompt_lengths.tolist(), output_lengths.tolist())
    return [Arrival(index, *row) for index, row in enumerate(zip(*columns, strict=True))]


def arrival_times(spec: WorkloadSpec, random: np.random.Generator) -> Floats:
    """``(requests,)`` ascending seconds; gaps are Gamma(shape 1/cv², scale cv²/rate)."""
    shape = 1.0 / spec.cv**2
    return np.cumsum(random.gamma(shape, 1.0 / (shape * spec.rate), spec.requests))


def chosen_adapters(spec: WorkloadSpec, random: np.random.Generator) -> Indices:
    """``(requests,)`` adapter indices; 0 is the most popular one. ``distinct`` takes all in turn, at no random."""
    if spec.popularity == "distinct":
        in_turn: Indices = np.arange(spec.requests) % spec.adapters
        return in_turn
    if spec.popularity == "power":
        return (random.power(spec.alpha, spec.requests) * spec.adapters).astype(np.int64)
    cumulative = np.cumsum(shares(spec))
    drawn: Indices = np.searchsorted(cumulative, random.random(spec.requests) * cumulative[-1], side="right")
    return drawn


def shares(spec: WorkloadSpec) -> Floats:
    """``(adapters,)`` probability of each adapter."""
    count = spec.adapters
    if spec.popularity == "power":
        parts: Floats = np.diff((np.arange(count + 1) / count) ** spec.alpha)
        return parts
    if spec.popularity == "skewed":
        weights: Floats = SKEW_RATIO ** -np.arange(count, dtype=np.float64)
        weights /= weights.sum()
        return weights
    asked = {"distinct": count, "uniform": math.isqrt(count - 1) + 1, "identical": 1}[spec.popularity]
    return np.where(np.arange(count) < asked, 1.0 / asked, 0.0)
