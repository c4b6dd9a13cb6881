"""What a group by name comes to in a request: mixes, changes of them, and shares of rows that choose together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from adaptrix_core.composition.parts import Group, Switch
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.request import SamplingParams
from adaptrix_core.injection.mix import Mix, MixSchedule, Term, constant


@dataclass(frozen=True)
class RowsAsked:
    """Fields of `GenerationRequest`."""

    schedules: tuple[MixSchedule, ...]
    switches: tuple[tuple[Switch[WeightsDigest], ...], ...] = ()
    shares: tuple[float, ...] = ()


def rows_asked(group: Group[str], resolve: Callable[[tuple[Term[str], ...]], Mix]) -> RowsAsked:
    """The rows of a group. resolve: gives a mix by name its weights."""
    switches = tuple(tuple(Switch(switch.when, resolve(switch.mix)) for switch in row.switches) for row in group.rows)
    return RowsAsked(
        tuple(constant(resolve(row.mix)) for row in group.rows),
        switches if any(switches) else (),
        tuple(row.weight for row in group.rows) if group.combine == "logits" else (),
    )


def with_needed_logprobs(params: SamplingParams, group: Group[str]) -> SamplingParams:
    """The parameters, with the log-probabilities that the conditions of a group are told by."""
    if params.logprobs is not None or not group.needs_logprobs:
        return params
    return replace(params, logprobs=0)
