"""The strategy ``conditional``: another mix from the start, or from the token on at which a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adaptrix_core.composition.conditions import About, read_condition
from adaptrix_core.composition.nesting import row_inside
from adaptrix_core.composition.parts import Beginning, Group, Part, RowPlan, Switch
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST


class Conditional:
    """``{"conditional": [{"if": {"about": "c"}, "then": "c"}, {"if": {"marker": "\\n"}, "then": "b"}], "else": "a"}``.

    The answer begins under ``else``, or as the rule about the adapter says that the question is for. After each token
    the other conditions are looked at in order, and the first that holds changes the mix, once each. Keys and values of
    earlier tokens stay as they were computed (history ``keep``).
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
        rules = [_rule(rule, read) for rule in parts]
        beginnings = tuple(rule for rule in rules if isinstance(rule, Beginning))
        _check_subjects([one.about for one in beginnings])
        switches = tuple(rule for rule in rules if isinstance(rule, Switch))
        return Group((RowPlan(begins, switches, beginnings=beginnings),))


def _rule(rule: Any, read: Callable[[Any], Part[str]]) -> Switch[str] | Beginning[str]:
    if not isinstance(rule, Mapping) or set(rule) != {"if", "then"}:
        raise InvalidRequest(f'a rule of conditional has "if" and "then", not {rule!r:.60}')
    condition, mix = read_condition(rule["if"]), row_inside("conditional", read(rule["then"])).mix
    return Beginning(condition.adapter, mix) if isinstance(condition, About) else Switch(condition, mix)


def _check_subjects(names: Sequence[str]) -> None:
    """Raise InvalidRequest where two rules ask about one adapter, so that the second would never hold."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidRequest(f"two rules are about {twice!r}, of which the second never holds; leave one of them out")


CONDITIONAL = Conditional()
