"""The strategy ``sequential``: parts that answer one after another, each with what those before it have said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adaptrix_core.composition.nesting import group_inside
from adaptrix_core.composition.parts import Part, StepPlan, Steps
from adaptrix_core.composition.questions import check_questions
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST


class Sequential:
    """``{"sequential": ["logic", "math"], "plan": ["first question", "second question with {0}"]}``.

    ``plan``: a question for each step, ``auto`` (a planner splits the question), or ``pass`` (the default: every step
    has the question, and the texts of the steps before it).
    """

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """See `CompositionStrategy`."""
        if unknown := sorted(set(options) - {"plan"}):
            raise InvalidRequest(f"sequential has no option {unknown[0]!r}; it takes plan")
        if not isinstance(parts, Sequence) or isinstance(parts, str) or not 1 <= len(parts) <= MOST.composition_steps:
            raise InvalidRequest(
                f"sequential takes a list of 1 to {MOST.composition_steps} parts, the first to answer first, "
                f"not {parts!r:.60}"
            )
        groups = tuple(group_inside("sequential", read(part)) for part in parts)
        return Steps(groups, _plan(options.get("plan", "pass"), len(groups)))


def _plan(value: Any, num_steps: int) -> StepPlan:
    if value in ("pass", "auto"):
        return "pass" if value == "pass" else "auto"
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidRequest(f"plan is {value!r:.60}; it must be auto, pass, or a list of one question for each step")
    if len(value) != num_steps:
        raise InvalidRequest(f"plan has {len(value)} questions for {num_steps} steps; give one for each step")
    return check_questions(value)


SEQUENTIAL = Sequential()
