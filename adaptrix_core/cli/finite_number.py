"""Numbers on the command line: finite ones, inside a range where there is one."""

from __future__ import annotations

import math

import click

from adaptrix_core.request_limits import Range


class FiniteNumber(click.ParamType[float]):
    """A finite number; NaN and infinities, which Python reads as numbers, are none."""

    name = "float"

    def __init__(self, allowed: Range | None = None) -> None:
        """allowed: the range; None where whatever reads the number knows it."""
        self._allowed = allowed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails (exit code 2) naming the value and what is allowed."""
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not (self._allowed is None or self._allowed.allows(number)):
            self.fail(f"{str(value)[:60]!r} is not {self._rule()}", param, ctx)
        return number

    def _rule(self) -> str:
        return "a finite number" if self._allowed is None else f"a number {self._allowed}"
