"""Lists of layers on the command line: ``10,14,18`` or, as fractions of the depth, ``0.33,0.47,0.6``."""

from __future__ import annotations

import click


class LayerList(click.ParamType[tuple[int | float, ...]]):
    """A comma-separated list; whole numbers are indices, numbers with a point are fractions (where allowed)."""

    name = "layers"

    def __init__(self, fractions: bool) -> None:
        self._fractions = fractions

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | float, ...]:
        """The numbers in the order given. Fails (exit code 2) naming the value."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._number(part.strip()) for part in str(value).split(","))
        except ValueError:
            example = "10,14,18 or 0.33,0.47,0.6" if self._fractions else "10,14,18"
            self.fail(f"{value!r} is not a list of layers such as {example}", param, ctx)

    def _number(self, text: str) -> int | float:
        return float(text) if self._fractions and "." in text else int(text)
