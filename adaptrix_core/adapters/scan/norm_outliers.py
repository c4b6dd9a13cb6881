"""Updates of an adapter that are far larger than its others: a sign of planted behaviour, or of a spoilt training.

Training spreads what it changes: the root mean square of an update's entries differs little between the modules and
layers of one adapter (of the shipped ones, the largest is below twice the median). Something edited in by hand, or
trained into a few modules afterwards, has to be loud there to be heard over the rest. The scan finds that; a behaviour
that was trained in together with everything else, or spread evenly, it does not find.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptrix_core.injection.lora import LoraWeights, PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base import Point

LARGE = 4.0
"""An update this many times the median is an outlier: twice what was seen among honest ones."""
COMPARED = 4
"""With fewer updates than this there is no telling which of them is unusual."""


@dataclass(frozen=True)
class NormOutlier:
    """One update that stands out."""

    layer: int
    module: str
    size: float
    """Root mean square of the entries of ``scaling * B A``."""
    times_median: float
    """``size`` over the median size of the adapter's updates; infinite where more than half of them are zero."""


def norm_outliers(weights: LoraWeights) -> tuple[NormOutlier, ...]:
    """The updates that stand out, the largest first."""
    sizes = {point: _size(values) for point, values in weights.points.items()}
    if len(sizes) < COMPARED:
        return ()
    typical = statistics.median(sizes.values())
    found = [_outlier(point, size, typical) for point, size in sizes.items() if size > LARGE * typical]
    return tuple(sorted(found, key=lambda one: -one.size))


def norm_warnings(identity: str, weights: LoraWeights) -> tuple[str, ...]:
    """The scan as a warning of a loaded adapter, beginning with its code; none where nothing stands out."""
    found = norm_outliers(weights)
    if not found:
        return ()
    first = found[0]
    others = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"norm_outlier: {identity}: the update of layer {first.layer} {first.module} is {first.times_median:.3g} times "
        f"the adapter's median{others} (of {len(weights.points)}; expected at most {LARGE:g} times); planted behaviour "
        "looks like this, or a training that diverged: ask its signer before you use it",
    )


def _outlier(point: Point, size: float, typical: float) -> NormOutlier:
    layer, module = point
    return NormOutlier(layer, module, size, size / typical if typical else math.inf)


def _size(values: PointWeights) -> float:
    """``|B A|² = Σ (Bᵀ B) ∘ (A Aᵀ)``: found without forming ``B A``."""
    a, b = values.lora_a.float(), values.lora_b.float()
    square = float(((b.T @ b).double() * (a @ a.T).double()).sum())
    return abs(values.scaling) * math.sqrt(max(square, 0.0) / (a.shape[1] * b.shape[0]))
