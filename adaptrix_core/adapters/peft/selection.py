"""Selects the modules of a model that a PEFT adapter is for, with rank and scaling, by PEFT's own matching rules.

(PEFT 0.21: `check_target_module_exists`, `get_pattern_key`.) All expressions of an adapter are matched at once, when a
`PeftSelection` is made, under the budget of `patterns.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from adaptrix_core.adapters.peft.config import ALL_LINEAR, PeftConfig
from adaptrix_core.adapters.peft.patterns import Pattern, match_names

_FIRST_NUMBER = re.compile(r".*?\.[^.]*\.(\d+)\.")


class PeftSelection:
    """Target, rank and scaling of each of a model's modules, by a config."""

    def __init__(self, config: PeftConfig, modules: Sequence[str], head: str, origin: str) -> None:
        """modules: full names of all linear modules. head: the output layer, which "all-linear" leaves out.

        AdapterRejected (bad_peft): an invalid expression, or one that is too costly to match.
        """
        self._config = config
        self._modules = modules
        self._head = head
        self._wanted = _as_set(config.target_modules)
        self._excluded = _as_set(config.exclude_modules)
        self._layers = frozenset(config.layers_to_transform or ())
        self._matches = match_names(_patterns(config), modules, origin)

    def targets(self) -> set[str] | None:
        """The modules that PEFT would adapt; None where the config names none."""
        if self._config.target_modules is None:
            return None
        return {module for module in self._modules if self._is_target(module) and not self._is_excluded(module)}

    def rank_of(self, module: str) -> int:
        """LoRA rank of a module."""
        return int(self._lookup("rank_pattern", self._config.rank_pattern, module, self._config.rank))

    def scaling_of(self, module: str) -> float:
        """``alpha / rank``, or ``alpha / sqrt(rank)`` for rsLoRA."""
        rank = self.rank_of(module)
        alpha = float(self._lookup("alpha_pattern", self._config.alpha_pattern, module, self._config.alpha))
        return alpha / math.sqrt(rank) if self._config.use_rslora else alpha / rank

    def _is_target(self, module: str) -> bool:
        wanted = self._config.target_modules
        if isinstance(wanted, str):
            return (
                module != self._head if _is_all_linear(wanted) else self._fits(_whole("target_modules", wanted), module)
            )
        if module in self._wanted:
            return True
        return _ends_in(module, self._wanted) and self._is_target_layer(module)

    def _is_target_layer(self, module: str) -> bool:
        if not self._layers:
            return True
        if self._config.layers_pattern:
            found = (self._matches[_layer_pattern(pattern)] for pattern in self._config.layers_pattern)
            layer = next((matches[module] for matches in found if module in matches), None)
        else:
            match = _FIRST_NUMBER.match(module)
            layer = match and match[1]
        return layer is not None and int(layer) in self._layers

    def _is_excluded(self, module: str) -> bool:
        excluded = self._config.exclude_modules
        if isinstance(excluded, str):
            return bool(excluded) and self._fits(_whole("exclude_modules", excluded), module)
        return module in self._excluded or _ends_in(module, self._excluded)

    def _fits(self, pattern: Pattern, module: str) -> bool:
        return module in self._matches[pattern]

    def _lookup(self, field: str, values: Mapping[str, float], module: str, default: float) -> float:
        """The value of the first pattern that matches ``module``, else ``default``."""
        return next((value for key, value in values.items() if self._fits(_suffix(field, key), module)), default)


def _patterns(config: PeftConfig) -> list[Pattern]:
    found = [_suffix("rank_pattern", key) for key in config.rank_pattern]
    found += [_suffix("alpha_pattern", key) for key in config.alpha_pattern]
    found += [_layer_pattern(pattern) for pattern in config.layers_pattern]
    if isinstance(config.target_modules, str) and not _is_all_linear(config.target_modules):
        found.append(_whole("target_modules", config.target_modules))
    if isinstance(config.exclude_modules, str) and config.exclude_modules:
        found.append(_whole("exclude_modules", config.exclude_modules))
    return found


def _whole(field: str, text: str) -> Pattern:
    return Pattern(field, text, text, whole=True)


def _suffix(field: str, text: str) -> Pattern:
    return Pattern(field, text, rf"(.*\.)?({text})$", whole=False)


def _layer_pattern(text: str) -> Pattern:
    return Pattern("layers_pattern", text, rf"(?:^|.*?\.){text}\.(?P<idx>\d+)\.", whole=False)


def _is_all_linear(text: str) -> bool:
    return text.lower() == ALL_LINEAR


def _as_set(names: str | Iterable[str] | None) -> frozenset[str]:
    return frozenset() if names is None or isinstance(names, str) else frozenset(names)


def _ends_in(module: str, names: frozenset[str]) -> bool:
    """Whether ``module`` ends in a dot and one of ``names``; the cost does not depend on their number."""
    return any(char == "." and module[index + 1 :] in names for index, char in enumerate(module))
