"""Layers on the command line, alone or in ranges: ``8-20`` or ``10,14,18-20``."""

from __future__ import annotations

import re

import click

from adaptrix_core.request_limits import MOST

_RANGE = re.compile(r"(?P<first>\d{1,6})(-(?P<last>\d{1,6}))?")


class LayerRanges(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of indices and of ranges, both ends included."""

    name = "layers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The layers, ascending. Fails (exit code 2) naming the value."""
        if isinstance(value, tuple):
            return value
        found: set[int] = set()
        for part in str(value).split(","):
            matched = _RANGE.fullmatch(part.strip())
            first, last = (
                (0, -1) if matched is None else (int(matched["first"]), int(matched["last"] or matched["first"]))
            )
            if not 0 <= last - first < MOST.mix_layers:
                self.fail(f"{value!r} is not a list of layers such as 8-20 or 10,14,18", param, ctx)
            found.update(range(first, last + 1))
        return tuple(sorted(found))
