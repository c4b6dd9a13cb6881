"""What may stand inside of what: one table, which the strategies enforce and `docs/composition.md` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from adaptrix_core.composition.parts import Group, Part, RowPlan, Steps
from adaptrix_core.errors import InvalidRequest

Kind = Literal["mix", "conditional", "conditional by question", "logits", "vote", "sequential"]
"""``mix``: an adapter, the base model, and whatever adds up to one mix: parallel by deltas, hierarchical. ``conditional
by question``: what the question is about decides who begins."""

NESTING: Mapping[str, tuple[Kind, ...]] = {
    "parallel": ("mix",),
    "parallel by gate": ("mix",),
    "parallel by logits": ("mix",),
    "parallel by vote": ("mix", "conditional"),
    "hierarchical": ("mix",),
    "conditional": ("mix",),
    "sequential": ("mix", "conditional", "conditional by question", "logits", "vote"),
}
"""By place, the kinds of parts that it may hold.

Rows that choose a token together must be computed under the same tokens at every step, so a part that has several rows
or several answers cannot be one of them. A question that decides who begins is computed once, up to the cut, so each of
its rows would begin alike. Steps are the outermost by choice: a sequence inside of a sequence is the
longer sequence, and voting over whole sequences is asking several times."""


def kind_of(part: Part[Any]) -> Kind:
    """What a part is to the place that holds it."""
    if isinstance(part, Steps):
        return "sequential"
    if part.combine is not None:
        return part.combine
    if part.rows[0].beginnings:
        return "conditional by question"
    return "conditional" if part.rows[0].switches else "mix"


def group_inside(place: str, part: Part[str]) -> Group[str]:
    """``part`` as a group, where ``place`` may hold it. Raises InvalidRequest."""
    kind, allowed = kind_of(part), NESTING[place]
    if isinstance(part, Steps) or kind not in allowed:
        raise InvalidRequest(
            f"{place} cannot hold a part that is {_named(kind)}; it may hold {' or '.join(map(_named, allowed))}"
        )
    return part


def row_inside(place: str, part: Part[str]) -> RowPlan[str]:
    """``part`` as one row, where ``place`` may hold it. Raises InvalidRequest."""
    return group_inside(place, part).rows[0]


def _named(kind: Kind) -> str:
    return {"mix": "a mix of adapters", "logits": "parallel by logits", "vote": "parallel by vote"}.get(kind, kind)
