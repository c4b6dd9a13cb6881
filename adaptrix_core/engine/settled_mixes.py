"""The mixes of a choice after those that were measured to spoil their adapters' answers are settled.

Looked up where a caller of the library asks for a mix; the log tells of what is found. Comparisons, logits and
measurements are of what they name, whatever is known of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.adapters.reference import mix_label
from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.composition.parts import Group, Part, RowPlan, Steps
from adaptrix_core.injection.mix import Term

logger = logging.getLogger(__name__)

Mix = tuple[Term[str], ...]
Chosen = Callable[[Mix], Sequence[tuple[Term[str], Adapter]]]
"""The terms that a mix comes to, with their adapters, loaded."""


def with_mixes_settled(parts: Sequence[Part[str]], guard: ConflictGuard, chosen: Chosen) -> Sequence[Part[str]]:
    """The same compositions with the weights that their mixes get. Raises Conflict (mix_conflict) for a refused one."""
    mixes = dict.fromkeys(mix for part in parts for row in _rows(part) for mix in row.mixes if len(mix) > 1)
    if guard.is_off or not mixes:
        return parts
    guard.shelf.refresh()
    settled = {mix: _settled(mix, guard, chosen) for mix in mixes}
    return [_replaced(part, settled) for part in parts]


def _rows(part: Part[str]) -> Iterator[RowPlan[str]]:
    for group in part.groups if isinstance(part, Steps) else (part,):
        yield from group.rows


def _replaced(part: Part[str], settled: Mapping[Mix, Mix]) -> Part[str]:
    if isinstance(part, Steps):
        return replace(part, groups=tuple(_of_group(group, settled) for group in part.groups))
    return _of_group(part, settled)


def _of_group(group: Group[str], settled: Mapping[Mix, Mix]) -> Group[str]:
    rows = (row.under(lambda mix: settled.get(mix, mix), lambda name: name) for row in group.rows)
    return replace(group, rows=tuple(rows))


def _settled(mix: Mix, guard: ConflictGuard, chosen: Chosen) -> Mix:
    found = chosen(mix)
    judged = guard.judge([term.called(adapter.package_digest) for term, adapter in found], mix_label(mix))
    if judged is None:
        return mix
    logger.warning("%s", judged.warning)
    if judged.weights is None:
        return mix
    return tuple(replace(term, weight=weight) for (term, _), weight in zip(found, judged.weights, strict=True))
