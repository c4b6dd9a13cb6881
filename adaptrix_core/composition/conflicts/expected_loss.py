"""How much of its right answers an adapter is expected to lose in a mix, by how far the mix's update is from its own.

A logistic curve over the logarithm of the displacement (`weight_conflict.displacement`). It was fitted to what shipped
adapters lost of 96 problems each in 18 mixes, and foretells what is lost in 15 others (``python -m
benchmarks.composition.conflicts``, docs/composition.md). Other base models and ranks were not measured.
"""

from __future__ import annotations

import math

SLOPE = 2.84
"""How steeply the loss grows with the logarithm of the displacement."""
HALF_LOST = 0.68
"""The displacement, in lengths of the adapter's own update, at which half of its right answers are lost."""


def expected_loss(displacement: float) -> float:
    """The share of its right answers that an adapter is expected to lose, 0 to 1; 0 where the mix is the adapter."""
    if displacement <= 0.0:
        return 0.0
    return 1.0 / (1.0 + math.pow(HALF_LOST / displacement, SLOPE))
