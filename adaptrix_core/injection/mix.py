"""Mixes of adapters, under which tokens are computed.

A *term* is one adapter, its weight, and the layers it acts on. A *mix* is a tuple of terms; in the engine it names
adapters by weights digest, never by name. A *mix schedule* gives the mix from each token position on, so a request may
change its mix between tokens.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

if TYPE_CHECKING:
    from adaptrix_core.injection.gate import Gate, Gated
    from adaptrix_core.injection.learned_gate import LearnedGate

Named = TypeVar("Named")
"""Identification of an adapter: a name, a catalogue entry, a bundle or a weights digest, by the stage of the
request."""
Other = TypeVar("Other")


LayerThird = Literal["early", "mid", "late"]
"""A third of the base model's layers, for terms that are made where its depth is not known."""
LAYER_THIRDS: tuple[LayerThird, ...] = ("early", "mid", "late")


LEAST_TEMPERATURE = 1e-6
"""Lowest temperature of a gate: far below it float32 knows only 0. The largest score has all of the share by then."""


@dataclass(frozen=True)
class WantedGate:
    """A gate that is laid on its terms' adapters once they are loaded (`injection/wanted_gates.py`)."""

    names: tuple[str, ...]
    """The adapters that it weighs, in the order of their places; a mix may have several such gates."""
    place: int
    """Of the term in the gate."""
    top_k: int | None = None
    temperature: float = 1.0
    learned: LearnedGate | None = None
    """The learned gate that it is; None for Arrow's, which is made of the adapters."""


@dataclass(frozen=True)
class Term(Generic[Named]):
    """One adapter inside a mix. The same at every stage of a request; only the adapter's identification changes."""

    adapter: Named
    """The adapter."""
    weight: float | tuple[float, ...] = 1.0
    """Factor on the adapter's own scaling: one number, or one per layer of the base model."""
    layers: frozenset[int] | LayerThird | None = None
    """Layers the term acts on; None means all layers the adapter has. A third becomes numbers in the engine."""
    gated: Gated | WantedGate | None = None
    """The gate that weighs the term for each token, beside ``weight``; None without one. In the engine it is made."""

    def weight_at(self, layer: int) -> float:
        """The factor at ``layer`` (0.0 where the term does not act). Needs layers as numbers, see `placed`."""
        assert not isinstance(self.layers, str)
        if self.layers is not None and layer not in self.layers:
            return 0.0
        return self.weight[layer] if isinstance(self.weight, tuple) else self.weight

    @property
    def weights(self) -> tuple[float, ...]:
        """The factors, one or one per layer."""
        return self.weight if isinstance(self.weight, tuple) else (self.weight,)

    @property
    def strength(self) -> float:
        """The largest factor of any layer."""
        return max(self.weights)

    def placed(self, num_layers: int) -> Term[Named]:
        """The same term with its layers as numbers, in a model of ``num_layers``."""
        if not isinstance(self.layers, str):
            return self
        third = LAYER_THIRDS.index(self.layers)
        return replace(self, layers=frozenset(range(third * num_layers // 3, (third + 1) * num_layers // 3)))

    def called(self, adapter: Other) -> Term[Other]:
        """The same term with another identification of its adapter."""
        return Term(adapter, self.weight, self.layers, self.gated)


Mix = tuple[Term[WeightsDigest], ...]
"""A mix in the engine. The empty mix ``()`` is the base model."""

MixSchedule = tuple[tuple[int, Mix], ...]
"""``((start_token, mix), …)``, starts strictly increasing, the first one 0."""


def constant(mix: Mix) -> MixSchedule:
    """The schedule that holds ``mix`` for every token."""
    return ((0, mix),)


def check_schedule(schedule: MixSchedule) -> None:
    """Raise InvalidRequest unless starts begin at 0 and strictly increase."""
    starts = [start for start, _ in schedule]
    if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        raise InvalidRequest(f"mix schedule starts {starts}; they must begin with 0 and strictly increase")


_DIGEST = re.compile("[0-9a-f]{64}")


def check_mix(
    mix: Sequence[Term[Any]], num_layers: int | None = None, *, is_request: bool = False, param: str | None = None
) -> None:
    """Raise InvalidRequest, naming ``param``, unless every term can be computed.

    num_layers: of the base model; None where it is not known yet, so that layers cannot be compared with it.
    is_request: whether the mix comes from a client, for which `request_limits.py` holds.
    """
    if is_request and not 1 <= len(mix) <= MOST.mix_terms:
        raise InvalidRequest(f"{param} mixes {len(mix)} adapters; allowed: 1 to {MOST.mix_terms}", param=param)
    for number, term in enumerate(mix):
        name = _shown(term.adapter, number)
        _check_weights(term, name, num_layers, is_request, param)
        _check_layers(term, name, num_layers, param)
    gated_terms(mix)


def gated_terms(mix: Iterable[Term[Named]]) -> dict[Gate, tuple[Term[Named], ...]]:
    """The terms of each gate in a mix, by their places. Raises InvalidRequest unless each place is taken once."""
    groups: dict[Gate, dict[int, Term[Named]]] = {}
    for term in mix:
        if term.gated is not None and not isinstance(term.gated, WantedGate):
            places = groups.setdefault(term.gated.gate, {})
            if term.gated.place in places:
                raise InvalidRequest(f"two terms have place {term.gated.place} of one gate", param="gate")
            places[term.gated.place] = term
    for gate, places in groups.items():
        if sorted(places) != list(range(gate.num_terms)):
            raise InvalidRequest(
                f"a gate for {gate.num_terms} terms has {len(places)}; each of its terms must be in the mix",
                param="gate",
            )
    return {gate: tuple(places[place] for place in range(gate.num_terms)) for gate, places in groups.items()}


def _shown(adapter: object, number: int) -> str:
    """An adapter for messages: its name, or without one its place in the mix, as digests mean nothing to people."""
    return repr(adapter) if isinstance(adapter, str) and not _DIGEST.fullmatch(adapter) else f"term {number}"


def _check_weights(term: Term[Any], name: str, num_layers: int | None, is_request: bool, param: str | None) -> None:
    if isinstance(term.weight, tuple) and num_layers is not None and len(term.weight) != num_layers:
        raise InvalidRequest(
            f"{name} has {len(term.weight)} weights; the model has {num_layers} layers, give one for each", param=param
        )
    for weight in term.weights:
        if is_request and not abs(weight) <= MOST.mix_weight:
            raise InvalidRequest(
                f"{param}: weight {weight:g} of {name}; allowed: -{MOST.mix_weight:g} to {MOST.mix_weight:g}",
                param=param,
            )
        if not math.isfinite(weight):
            raise InvalidRequest(f"the weight of {name} is {weight}; it must be a finite number", param=param)


def _check_layers(term: Term[Any], name: str, num_layers: int | None, param: str | None) -> None:
    for layer in sorted(() if term.layers is None or isinstance(term.layers, str) else term.layers):
        if layer < 0:
            raise InvalidRequest(f"{name} acts on layer {layer}; layers are counted from 0", param=param)
        if num_layers is not None and layer >= num_layers:
            raise InvalidRequest(
                f"{name} acts on layer {layer}; the model has {num_layers} layers (0 to {num_layers - 1})", param=param
            )


def check_repeated(mix: Sequence[Term[Any]], param: str) -> None:
    """Raise InvalidRequest, naming ``param``, where one adapter would act twice on one layer."""
    for number, term in enumerate(mix):
        for earlier in mix[:number]:
            if earlier.adapter == term.adapter and _share_layers(earlier, term):
                raise InvalidRequest(
                    f"{param} names one adapter twice; add its weights together, or give each term layers of its own",
                    param=param,
                )


def _share_layers(one: Term[Any], other: Term[Any]) -> bool:
    if isinstance(one.layers, str) and isinstance(other.layers, str):
        return one.layers == other.layers
    if not isinstance(one.layers, frozenset) or not isinstance(other.layers, frozenset):
        return True  # all layers, or a third of a depth that is not known here
    return not one.layers.isdisjoint(other.layers)


def placed(schedule: MixSchedule, num_layers: int) -> MixSchedule:
    """The schedule with the layers of all terms as numbers, in a model of ``num_layers``."""
    if not any(isinstance(term.layers, str) for _, mix in schedule for term in mix):
        return schedule
    return tuple((start, tuple(term.placed(num_layers) for term in mix)) for start, mix in schedule)


def mix_at(schedule: MixSchedule, position: int) -> Mix:
    """The mix that the token at ``position`` is computed under."""
    index = bisect_right([start for start, _ in schedule], position) - 1
    return schedule[index][1]


def mix_runs(schedule: MixSchedule, start: int, end: int) -> Iterator[tuple[Mix, int]]:
    """The mixes of the tokens ``start … end``, each with the number of consecutive tokens it holds for."""
    bounds = [begin for begin, _ in schedule[1:] if start < begin < end]
    for first, last in pairwise((start, *bounds, end)):
        yield mix_at(schedule, first), last - first


def switched(schedule: MixSchedule, position: int, mix: Mix) -> MixSchedule:
    """``schedule`` with ``mix`` from ``position`` on."""
    kept = tuple(entry for entry in schedule if entry[0] < position)
    return (*kept, (position, mix))


def weights_digests_of(schedule: MixSchedule) -> frozenset[WeightsDigest]:
    """The adapters of all mixes of the schedule."""
    return frozenset(term.adapter for _, mix in schedule for term in mix)
