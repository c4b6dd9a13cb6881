"""Mixes: what a token is computed under.

A *term* is one adapter (named by its weights digest, never by its name), the layers it acts on, and how strongly. A
*mix* is a tuple of terms. A *mix schedule* says from which token position on which mix holds, so a request may change
its mix between tokens.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import InvalidRequest


@dataclass(frozen=True)
class Term:
    """One adapter inside a mix."""

    weights_digest: WeightsDigest
    """Which adapter."""
    weight: float | tuple[float, ...] = 1.0
    """Factor on the adapter's own scaling: one number, or one per layer of the base model."""
    layers: frozenset[int] | None = None
    """Layers the term acts on; None means all layers the adapter has."""

    def weight_at(self, layer: int) -> float:
        """The factor at ``layer`` (0.0 where the term does not act)."""
        if self.layers is not None and layer not in self.layers:
            return 0.0
        return self.weight[layer] if isinstance(self.weight, tuple) else self.weight


Mix = tuple[Term, ...]
"""No adapter is the empty mix ``()``."""

MixSchedule = tuple[tuple[int, Mix], ...]
"""``((start_token, mix), …)``, starts strictly increasing, the first one 0."""

BASE_ONLY: MixSchedule = ((0, ()),)


def constant(mix: Mix) -> MixSchedule:
    """The schedule that holds ``mix`` for every token."""
    return ((0, mix),)


def check_schedule(schedule: MixSchedule) -> None:
    """Raise InvalidRequest unless starts begin at 0 and strictly increase."""
    starts = [start for start, _ in schedule]
    if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        raise InvalidRequest(f"mix schedule starts {starts}; they must begin with 0 and strictly increase")


def check_mix(mix: Mix, num_layers: int) -> None:
    """Raise InvalidRequest unless every term fits a model of ``num_layers`` layers."""
    for term in mix:
        weights = term.weight if isinstance(term.weight, tuple) else (term.weight,)
        if isinstance(term.weight, tuple) and len(weights) != num_layers:
            raise InvalidRequest(
                f"a term has {len(weights)} weights; the model has {num_layers} layers, give one for each"
            )
        wrong = [weight for weight in weights if not math.isfinite(weight)]
        if wrong:
            raise InvalidRequest(f"a term's weight is {wrong[0]}; it must be a finite number")
        beyond = [layer for layer in term.layers or () if not 0 <= layer < num_layers]
        if beyond:
            raise InvalidRequest(
                f"a term acts on layer {beyond[0]}; the model has {num_layers} layers (0 to {num_layers - 1})"
            )


def mix_at(schedule: MixSchedule, position: int) -> Mix:
    """The mix that the token at ``position`` is computed under."""
    index = bisect_right([start for start, _ in schedule], position) - 1
    return schedule[index][1]


def mix_runs(schedule: MixSchedule, start: int, end: int) -> Iterator[tuple[Mix, int]]:
    """The mixes of the tokens ``start … end``, each with the number of tokens in a row that it holds for."""
    bounds = [begin for begin, _ in schedule[1:] if start < begin < end]
    for first, last in pairwise((start, *bounds, end)):
        yield mix_at(schedule, first), last - first


def switched(schedule: MixSchedule, position: int, mix: Mix) -> MixSchedule:
    """``schedule`` with ``mix`` from ``position`` on."""
    kept = tuple(entry for entry in schedule if entry[0] < position)
    return (*kept, (position, mix))


def weights_digests_of(schedule: MixSchedule) -> frozenset[WeightsDigest]:
    """Every adapter that some token of the schedule needs."""
    return frozenset(term.weights_digest for _, mix in schedule for term in mix)
