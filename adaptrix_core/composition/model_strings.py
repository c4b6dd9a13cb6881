"""Compositions as the string of a ``model`` field, for clients that can send nothing else; and their labels.

    sequential(logic,math)       one after another, by the planner's division of the question
    vote(math,logic*2)           the answer that most of them come to, by weight
    logits(a*0.7,b*0.3)          one token for both, by the weighted mean of their log-probabilities

Mixes by deltas have a form of their own (`adapters/reference.py`), and may stand in the place of a part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adaptrix_core.adapters.reference import AUTO, BASE, mix_label, parse_mix
from adaptrix_core.composition.nesting import kind_of
from adaptrix_core.composition.parts import Group, Part, Steps
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term

_CALLED = re.compile(r"(?P<strategy>sequential|vote|logits)\((?P<parts>[^()]*)\)")


def composition_named(model: str) -> dict[str, Any] | None:
    """The composition that a model string stands for; None for any other. Raises InvalidRequest (``model``)."""
    found = _CALLED.fullmatch(model.strip())
    if found is None:
        return None
    parts = [_part(text.strip()) for text in found["parts"].split(",")]
    if found["strategy"] == "sequential":
        return {"sequential": [part for part, _ in parts], "plan": "auto"}
    weighted = [{"part": part, "weight": weight} for part, weight in parts]
    return {"parallel": weighted, "combine": found["strategy"]}


def mix_named(model: str, base_id: str) -> tuple[Term[str], ...]:
    """The one mix that a model string stands for, by name; empty for the base model, which ``base`` names too.

    Raises InvalidRequest (``model``) for ``auto`` and for compositions of several mixes.
    """
    if model == AUTO:
        raise InvalidRequest(
            "auto leaves it to the router who answers; name one of those whom it chooses", param="model"
        )
    if composition_named(model) is not None:
        raise InvalidRequest(
            f"{model:.80} comes to more than one mix; name the adapters or mixes that it is made of", param="model"
        )
    return () if model in (BASE, base_id) else parse_mix(model, base_id)


def _part(text: str) -> tuple[str | Mapping[str, Any], float | tuple[float, ...]]:
    """A part, and its weight among the others."""
    terms = parse_mix(text, "")
    if len(terms) == 1 and terms[0].layers is None:
        return terms[0].adapter, terms[0].weight
    listed = [{"part": _on_layers(term.adapter, term.layers), "weight": term.weight} for term in terms]
    return {"parallel": listed}, 1.0


def _on_layers(name: str, layers: frozenset[int] | str | None) -> str | dict[str, Any]:
    if layers is None:
        return name
    if isinstance(layers, str):
        return {"hierarchical": [{"adapter": name, "layers": layers}]}
    return {"hierarchical": [{"adapter": name, "layers": [layer, layer + 1]} for layer in sorted(layers)]}


def part_label(part: Part[str]) -> str:
    """A composition for people and headers, of the kind of the strings above."""
    if isinstance(part, Steps):
        return f"sequential({','.join(map(part_label, part.groups))})"
    if part.combine is not None:
        return f"{part.combine}({','.join(_row_label(row.mix, row.weight) for row in part.rows)})"
    if kind_of(part) in ("conditional", "conditional by question"):
        return f"conditional({','.join(map(mix_label, part.rows[0].mixes))})"
    return ",".join(mix_label(row.mix) for row in part.rows)


def _row_label(mix: Any, weight: float) -> str:
    label = mix_label(mix)
    return label if weight == 1.0 or len(mix) != 1 or "*" in label else f"{label}*{weight:g}"


def mixes_of(part: Part[Any]) -> tuple[tuple[Any, ...], ...]:
    """Every mix that a composition may be computed under, once each, in the order in which it names them."""
    groups: tuple[Group[Any], ...] = part.groups if isinstance(part, Steps) else (part,)
    return tuple(dict.fromkeys(mix for group in groups for row in group.rows for mix in row.mixes))
