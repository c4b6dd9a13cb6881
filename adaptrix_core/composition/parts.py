"""What a composition comes to: groups of rows for the engine, and sequences of such groups.

Whatever a strategy says becomes one of two things. A *group* is the rows that serve one request: one row under a mix,
perhaps with rules by which the mix changes, or several rows that are combined at the logits or at the text. *Steps* are
groups one after another, each with the answers of those before it. Knows no JSON, no model and no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from adaptrix_core.composition.conditions import Condition, ConfidenceBelow
from adaptrix_core.injection.mix import Term

Named = TypeVar("Named")
"""Identification of an adapter, see `injection/mix.py`."""
Other = TypeVar("Other")

Combine = Literal["logits", "vote"]
"""``logits``: one token for all rows, by the weighted mean of their log-probabilities. ``vote``: the answer that most
rows come to."""

StepPlan = Literal["pass", "auto"] | tuple[str, ...]
"""The questions of steps. ``pass``: each step has the question and the texts of the steps before it. ``auto``: a
planner splits the question. Else one question for each step, ``{0}`` standing for the answer of the first one."""


@dataclass(frozen=True)
class Switch(Generic[Named]):
    """A change of a row's mix between two tokens."""

    when: Condition
    """Looked at after each token; the change takes hold once."""
    mix: tuple[Term[Named], ...]
    """The mix from then on."""


@dataclass(frozen=True)
class Beginning(Generic[Named]):
    """A mix for questions that are about something."""

    about: Named
    """The adapter that they are for."""
    mix: tuple[Term[Named], ...]
    """What the row is computed under from its first token on."""


@dataclass(frozen=True)
class RowPlan(Generic[Named]):
    """What one row is computed under."""

    mix: tuple[Term[Named], ...] = ()
    """The mix that it begins under; ``()`` is the base model."""
    switches: tuple[Switch[Named], ...] = ()
    """Tried in this order after each token, each until it has taken hold."""
    weight: float = 1.0
    """Among the rows that it is combined with."""
    beginnings: tuple[Beginning[Named], ...] = ()
    """Mixes that it begins under in place of ``mix``, by what its question is about; no two for one adapter."""

    @property
    def mixes(self) -> tuple[tuple[Term[Named], ...], ...]:
        """Every mix that it may be computed under."""
        return (self.mix, *(switch.mix for switch in self.switches), *(one.mix for one in self.beginnings))

    def called(self, identify: Callable[[Named], Other]) -> RowPlan[Other]:
        """The same with other identifications of the adapters."""
        return self.under(lambda mix: tuple(term.called(identify(term.adapter)) for term in mix), identify)

    def under(
        self,
        change: Callable[[tuple[Term[Named], ...]], tuple[Term[Other], ...]],
        identify: Callable[[Named], Other],
    ) -> RowPlan[Other]:
        """The same with other mixes. identify: the adapters that the question may be about."""
        switches = tuple(Switch(switch.when, change(switch.mix)) for switch in self.switches)
        beginnings = tuple(Beginning(identify(one.about), change(one.mix)) for one in self.beginnings)
        return RowPlan(change(self.mix), switches, self.weight, beginnings)


@dataclass(frozen=True)
class Group(Generic[Named]):
    """The rows that serve one request."""

    rows: tuple[RowPlan[Named], ...]
    combine: Combine | None = None
    """None: each row is an answer of its own; several of them are a fork."""
    samples: int = 1
    """Answers of each row that vote."""

    @property
    def is_plain(self) -> bool:
        """Whether it is one row under one mix, as a named adapter's is."""
        row = self.rows[0]
        return self.combine is None and len(self.rows) == 1 and not row.switches and not row.beginnings

    @property
    def mix(self) -> tuple[Term[Named], ...]:
        """The mix of the first row as it begins: that of the group, where it is plain."""
        return self.rows[0].mix

    @property
    def needs_logprobs(self) -> bool:
        """Whether a change of mix depends on log-probabilities."""
        return any(isinstance(switch.when, ConfidenceBelow) for row in self.rows for switch in row.switches)

    @property
    def all_mixes(self) -> tuple[tuple[Term[Named], ...], ...]:
        """The mixes that rows begin under, those that they may change to, then those that a question may decide for."""
        return (
            *(row.mix for row in self.rows),
            *(switch.mix for row in self.rows for switch in row.switches),
            *(one.mix for row in self.rows for one in row.beginnings),
        )

    @property
    def subjects(self) -> tuple[Named, ...]:
        """The adapters that the question may be about."""
        return tuple(one.about for row in self.rows for one in row.beginnings)

    def terms(self) -> Iterator[Term[Named]]:
        """Every term of every row, and the adapters that the question may be about."""
        for mix in self.all_mixes:
            yield from mix
        yield from map(Term, self.subjects)

    def called(self, identify: Callable[[Named], Other]) -> Group[Other]:
        """The same with other identifications of the adapters."""
        return Group(tuple(row.called(identify) for row in self.rows), self.combine, self.samples)


@dataclass(frozen=True)
class Steps(Generic[Named]):
    """Groups that answer one after another; the answer is that of the last one."""

    groups: tuple[Group[Named], ...]
    plan: StepPlan = "pass"

    @property
    def subjects(self) -> tuple[Named, ...]:
        """The adapters that the questions may be about."""
        return tuple(adapter for group in self.groups for adapter in group.subjects)

    def terms(self) -> Iterator[Term[Named]]:
        """Every term of every step."""
        for group in self.groups:
            yield from group.terms()

    def called(self, identify: Callable[[Named], Other]) -> Steps[Other]:
        """The same with other identifications of the adapters."""
        return Steps(tuple(group.called(identify) for group in self.groups), self.plan)


Part = Group[Named] | Steps[Named]
"""A composition, or a part of one."""


def plain(mix: tuple[Term[Named], ...]) -> Group[Named]:
    """One row under one mix."""
    return Group((RowPlan(mix),))


def fork_of(mixes: tuple[tuple[Term[Named], ...], ...]) -> Group[Named]:
    """A row for each mix, each an answer of its own."""
    return Group(tuple(RowPlan(mix) for mix in mixes))


def weighted(row: RowPlan[Named], weight: float) -> RowPlan[Named]:
    """A row with its weight among others."""
    return replace(row, weight=weight)
