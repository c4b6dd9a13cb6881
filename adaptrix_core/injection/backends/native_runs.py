"""A step's tokens for the native kernels: runs of consecutive tokens under one mix."""

from __future__ import annotations

from typing import NamedTuple

from adaptrix_core.injection.mix import Mix


class MixRun(NamedTuple):
    """Consecutive tokens of a packed batch that are under one mix."""

    mix: Mix
    start: int
    length: int
