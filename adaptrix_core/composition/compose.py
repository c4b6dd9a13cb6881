"""Reads a request's composition into the rows that the engine computes, by the strategies that it names.

Strategies may come from other packages (`extensions.py`), so what they make is checked, and one that fails is named.
Does not know which adapters there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adaptrix_core.composition.nesting import kind_of
from adaptrix_core.composition.parts import Group, Part, RowPlan, Steps, plain
from adaptrix_core.errors import AdaptrixError, ExtensionError, InvalidRequest
from adaptrix_core.extensions import COMPOSITION_STRATEGIES
from adaptrix_core.injection.mix import Term
from adaptrix_core.request_limits import MOST
from adaptrix_core.suggestions import did_you_mean

Meaning = Callable[[str], Mapping[str, Any] | None]
"""The composition that a name stands for; None for the name of an adapter."""


def only_adapters(_: str) -> None:
    """The default of `Meaning`: no name stands for a composition."""


def compose(
    composition: Mapping[str, Any], param: str = "adaptrix.compose", meaning: Meaning = only_adapters
) -> Part[str]:
    """The rows by adapter name of ``{strategy: parts, option: value, …}``.

    Raises InvalidRequest, naming ``param``, where it names no strategy or several, where the strategy refuses it, and
    where it is too deep, too large or stands for itself; ExtensionError where a strategy cannot be used or fails.
    """
    return _Reader(param, meaning).strategy(composition, depth=1, path=())


def compose_mix(composition: Mapping[str, Any], param: str) -> tuple[Term[str], ...]:
    """The terms by adapter name of a composition that adds up to one mix. Raises as `compose`, and for any other."""
    part = compose(composition, param)
    if isinstance(part, Group) and part.is_plain:
        return part.mix
    raise InvalidRequest(f"a composition that is {kind_of(part)} is not one mix, which is wanted here", param=param)


def is_composition(choice: Mapping[str, Any]) -> bool:
    """Whether a mapping names a strategy rather than adapters with their weights."""
    return any(key in COMPOSITION_STRATEGIES.names() and not _is_number(value) for key, value in choice.items())


class _Reader:
    """Reads one composition and counts its parts."""

    def __init__(self, param: str, meaning: Meaning) -> None:
        self._param = param
        self._meaning = meaning
        self._num_parts = 0

    def strategy(self, composition: Mapping[str, Any], depth: int, path: tuple[str, ...]) -> Part[str]:
        """A composition that stands ``depth`` deep. path: the names that stand for the compositions around it."""
        if depth > MOST.composition_depth:
            raise self._refused(f"compositions stand more than {MOST.composition_depth} deep inside of one another")
        name = _strategy_of(composition, self._param)
        strategy = COMPOSITION_STRATEGIES.get(name)
        options = {key: value for key, value in composition.items() if key != name}
        try:
            part = strategy.compose(composition[name], options, lambda value: self._part(value, depth, path))
        except AdaptrixError as error:
            error.param = error.param or self._param
            raise
        except Exception as error:
            raise ExtensionError(
                f"composition strategy {name!r} has failed: {type(error).__name__}: {error}", param=self._param
            ) from error
        if not _is_part(part):
            raise ExtensionError(
                f"composition strategy {name!r} has made something else than a part by names", param=self._param
            )
        return part

    def _part(self, value: Any, depth: int, path: tuple[str, ...]) -> Part[str]:
        self._num_parts += 1
        if self._num_parts > MOST.composition_parts:
            raise self._refused(f"a composition has more than {MOST.composition_parts} parts")
        if value is None:
            return plain(())
        if isinstance(value, str):
            return self._named(value, depth, path)
        if isinstance(value, Mapping) and value:
            if not is_composition(value) and all(_is_number(weight) for weight in value.values()):
                value = {"parallel": value}
            return self.strategy(value, depth + 1, path)
        raise self._refused(
            f"a part is {value!r:.60}; it must be an adapter's name, null for the base, or a composition"
        )

    def _named(self, name: str, depth: int, path: tuple[str, ...]) -> Part[str]:
        composition = self._meaning(name)
        if composition is None:
            return plain((Term(name),))
        if name in path:
            raise self._refused(f"the composition {name!r} stands inside of itself: {' > '.join((*path, name))}")
        return self.strategy(composition, depth + 1, (*path, name))

    def _refused(self, message: str) -> InvalidRequest:
        return InvalidRequest(message, param=self._param)


def _is_part(part: object) -> bool:
    groups = part.groups if isinstance(part, Steps) else (part,)
    return all(
        isinstance(group, Group)
        and group.rows
        and all(isinstance(row, RowPlan) for row in group.rows)
        and (not any(group.subjects) or (len(group.rows) == 1 and group.combine is None))
        and all(isinstance(term, Term) and isinstance(term.adapter, str) for term in group.terms())
        for group in groups
    )


def _strategy_of(composition: Mapping[str, Any], param: str) -> str:
    known = COMPOSITION_STRATEGIES.names()
    named = [key for key in composition if key in known]
    if len(named) > 1:
        raise InvalidRequest(f"{param} names the strategies {' and '.join(named)}; name one", param=param)
    if not named:
        given = str(next(iter(composition), ""))
        raise InvalidRequest(
            f"{param} names no composition strategy; {did_you_mean(given, known, 'there are')}", param=param
        )
    return named[0]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
