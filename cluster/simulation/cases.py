"""Which cases a sweep runs: one axis at a time around a centre, or every combination.

Axes are replicas, adapters, skew, rate (as a share of what the replicas can serve) and the time to load an adapter.
Knows no simulator.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Case:
    """One point of the grid; its fields are the axes."""

    replicas: int
    adapters: int
    alpha: float
    """Exponent of the power law: 1 is uniform, smaller is more skewed."""
    utilisation: float
    """Offered requests over what the replicas can serve with full batches."""
    load_s: float
    """Seconds to load an adapter."""


AXES: Mapping[str, str] = {
    "replicas": "replicas",
    "adapters": "adapters",
    "alpha": "alpha (1: uniform, smaller: more skewed)",
    "utilisation": "offered load, share of capacity",
    "load_s": "seconds to load an adapter",
}
"""Fields of a case, and how a plot names them."""
LOGARITHMIC = {"replicas", "adapters", "load_s"}


def star(centre: Case, values: Mapping[str, Sequence[float]]) -> list[Case]:
    """The centre, and for each axis the cases that differ from it in that axis only; each case once, in order."""
    cases = [centre]
    cases += [_at(centre, {axis: value}) for axis in AXES for value in values[axis]]
    return list(dict.fromkeys(cases))


def product(centre: Case, values: Mapping[str, Sequence[float]]) -> list[Case]:
    """Every combination of the values."""
    return [_at(centre, dict(zip(AXES, point, strict=True))) for point in itertools.product(*(values[a] for a in AXES))]


def on_axis(case: Case, centre: Case, axis: str) -> bool:
    """Whether ``case`` differs from ``centre`` in ``axis`` at most."""
    return {**asdict(case), axis: None} == {**asdict(centre), axis: None}


def _at(centre: Case, changes: Mapping[str, float]) -> Case:
    merged = {**asdict(centre), **changes}
    return Case(
        int(merged["replicas"]), int(merged["adapters"]), merged["alpha"], merged["utilisation"], merged["load_s"]
    )
