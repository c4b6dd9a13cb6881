"""Turns a request's composition into a mix, by the strategy that it names.

Strategies may come from other packages (`extensions.py`), so what they make is checked, and one that fails is named.
Does not know which adapters there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptrix_core.errors import AdaptrixError, ExtensionError, InvalidRequest
from adaptrix_core.extensions import COMPOSITION_STRATEGIES
from adaptrix_core.injection.mix import Term
from adaptrix_core.suggestions import did_you_mean


def compose(composition: Mapping[str, Any], param: str = "adaptrix.compose") -> tuple[Term[str], ...]:
    """The terms by adapter name of ``{strategy: parts, option: value, …}``.

    Raises InvalidRequest, naming ``param``, where it names no strategy or several, or where the strategy refuses it;
    ExtensionError where the strategy cannot be used or fails.
    """
    name = _strategy_of(composition, param)
    strategy = COMPOSITION_STRATEGIES.get(name)
    options = {key: value for key, value in composition.items() if key != name}
    try:
        terms = tuple(strategy.mix(composition[name], options))
    except AdaptrixError as error:
        error.param = error.param or param
        raise
    except Exception as error:
        raise ExtensionError(
            f"composition strategy {name!r} has failed: {type(error).__name__}: {error}", param=param
        ) from error
    if not all(isinstance(term, Term) and isinstance(term.adapter, str) for term in terms):
        raise ExtensionError(f"composition strategy {name!r} has made something else than terms by name", param=param)
    return terms


def is_composition(choice: Mapping[str, Any]) -> bool:
    """Whether a mapping names a strategy rather than adapters with their weights."""
    return any(key in COMPOSITION_STRATEGIES.names() and not _is_number(value) for key, value in choice.items())


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
