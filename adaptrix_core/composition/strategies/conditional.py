"""The strategy ``conditional``: another mix from the token on at which a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adaptrix_core.composition.conditions import read_condition
from adaptrix_core.composition.nesting import row_inside
from adaptrix_core.composition.parts import Group, Part, RowPlan, Switch
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST


class Conditional:
    """``{"conditional": [{"if": {"marker": "\\n"}, "then": "b"}], "else": "a"}``.

    The answer begins under ``else``. After each token the conditions are looked at in order, and the first that holds
    changes the mix, once each. Keys and values of earlier tokens stay as they were computed (history ``keep``).
    """

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """See `CompositionStrategy`."""
        if set(options) != {"else"}:
            unknown = sorted(set(options) - {"else"})
            raise InvalidRequest(
                f"conditional has no option {unknown[0]!r}" if unknown else 'conditional needs "else": who begins'
            )
        if not isinstance(parts, Sequence) or isinstance(parts, str) or not 1 <= len(parts) <= MOST.composition_rules:
            raise InvalidRequest(f"conditional takes a list of 1 to {MOST.composition_rules} rules, not {parts!r:.60}")
        begins = row_inside("conditional", read(options["else"])).mix
        return Group((RowPlan(begins, tuple(_switch(rule, read) for rule in parts)),))


def _switch(rule: Any, read: Callable[[Any], Part[str]]) -> Switch[str]:
    if not isinstance(rule, Mapping) or set(rule) != {"if", "then"}:
        raise InvalidRequest(f'a rule of conditional has "if" and "then", not {rule!r:.60}')
    return Switch(read_condition(rule["if"]), row_inside("conditional", read(rule["then"])).mix)


CONDITIONAL = Conditional()
