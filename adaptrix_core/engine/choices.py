"""Who is to answer, as callers of the library say it: names, mixes and compositions, read into rows by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptrix_core.composition.compose import compose, compose_mix, is_composition
from adaptrix_core.composition.parts import Part, plain
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term

AdapterChoice = str | Mapping[str, Any] | tuple[Term[str], ...] | None
"""A name or ``name@version``; a mix, as ``{name: weight}`` or as terms by name; a composition, as
``{strategy: parts}``; or None for the base model."""


def choices_for(adapters: AdapterChoice | Sequence[AdapterChoice], count: int) -> list[AdapterChoice]:
    """A choice for each of ``count`` prompts, of one for all or one for each. Raises InvalidRequest."""
    if adapters is None or isinstance(adapters, (str, Mapping)):
        return [adapters] * count
    terms = tuple(term for term in adapters if isinstance(term, Term))
    if terms:
        return [terms] * count
    if len(adapters) != count:
        raise InvalidRequest(f"{len(adapters)} adapters for {count} prompts; give one per prompt, or one for all")
    return [choice for choice in adapters if not isinstance(choice, Term)]


def part_of(choice: AdapterChoice) -> Part[str]:
    """A choice as rows, or steps of rows, by name. Raises InvalidRequest."""
    if isinstance(choice, Mapping) and is_composition(choice):
        return compose(choice, param="adapters")
    return plain(terms_of(choice))


def terms_of(choice: AdapterChoice) -> tuple[Term[str], ...]:
    """A choice as terms by name. Raises InvalidRequest for a weight that is no number, and where it is not one mix."""
    if choice is None or isinstance(choice, str):
        return () if choice is None else (Term(choice),)
    if isinstance(choice, tuple):
        return choice
    if is_composition(choice):
        return compose_mix(choice, param="adapters")
    for name, weight in choice.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise InvalidRequest(
                f"the weight of {name!r} is {weight!r}; it must be a finite number", param="adaptrix.mix"
            )
    return tuple(Term(name, float(weight)) for name, weight in choice.items())
