"""The strategy ``parallel``: all parts at once, combined in the layers, at the logits, or by a vote on answers.

In the layers they add up by weights, or by a gate that weighs them token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from adaptrix_core.composition.gating import gated
from adaptrix_core.composition.nesting import row_inside
from adaptrix_core.composition.parts import Combine, Group, Part, plain, weighted
from adaptrix_core.composition.weights import read_share, read_weight, scaled
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "delta": (),
    "gate": ("top_k", "temperature"),
    "logits": (),
    "vote": ("samples",),
}
"""The ways to combine parts, and the further options of each."""


class Parallel:
    """``{"parallel": {"a": 0.7, "b": 0.3}}``; also a list of parts, each alone or as ``{"part": …, "weight": …}``.

    ``combine``: ``delta`` (the default: LoRA terms added up), ``gate`` (added up by shares that Arrow gives them for
    each token; ``top_k`` of them get one, scores are divided by ``temperature``), ``logits`` or ``vote``. ``samples``:
    how often each part answers before they vote.
    """

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """See `CompositionStrategy`."""
        how = options.get("combine", "delta")
        if not isinstance(how, str) or how not in _OPTIONS:
            raise InvalidRequest(f"combine is {how!r:.60}; it must be one of {', '.join(_OPTIONS)}")
        allowed = {"combine", *_OPTIONS[how]}
        if unknown := sorted(set(options) - allowed):
            raise InvalidRequest(
                f"parallel has no option {unknown[0]!r} here; it takes {' and '.join(sorted(allowed))}"
            )
        listed = _listed(parts)
        if how == "gate":
            rows = [(row_inside("parallel by gate", read(part)), read_weight(part, weight)) for part, weight in listed]
            return plain(gated(tuple(chain.from_iterable(scaled(row.mix, weight) for row, weight in rows)), options))
        if how == "delta":
            rows = [(row_inside("parallel", read(part)), read_weight(part, weight)) for part, weight in listed]
            return plain(tuple(chain.from_iterable(scaled(row.mix, weight) for row, weight in rows)))
        rows = [(row_inside(f"parallel by {how}", read(part)), read_share(part, weight)) for part, weight in listed]
        samples = _samples(options.get("samples", 1))
        if len(rows) * samples > MOST.combined_rows:
            raise InvalidRequest(
                f"parallel combines {len(rows) * samples} answers (parts times samples); allowed: "
                f"up to {MOST.combined_rows}"
            )
        combine: Combine = "vote" if how == "vote" else "logits"
        return Group(tuple(weighted(row, weight) for row, weight in rows), combine, samples)


def _listed(parts: Any) -> list[tuple[Any, Any]]:
    """(part, weight) of each part."""
    if isinstance(parts, Mapping) and parts:
        return list(parts.items())
    if isinstance(parts, Sequence) and not isinstance(parts, str) and parts:
        return [
            (one["part"], one.get("weight", 1.0))
            if isinstance(one, Mapping) and "part" in one and set(one) <= {"part", "weight"}
            else (one, 1.0)
            for one in parts
        ]
    raise InvalidRequest(f"parallel takes weights by adapter name, or a list of parts, not {parts!r:.60}")


def _samples(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST.combined_rows:
        raise InvalidRequest(f"samples is {value!r:.60}; it must be a whole number from 1 to {MOST.combined_rows}")
    return value


PARALLEL = Parallel()
