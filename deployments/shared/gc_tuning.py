"""Python's garbage collector in processes that live long and answer many small requests."""

from __future__ import annotations

import gc

YOUNG = 10_000
"""Objects made, less those freed, before the young ones are looked through: about what some requests make, so that
most are gone by then. Python's default is 700."""


def spare_what_is_loaded() -> None:
    """Never look again through what lives now: modules, models, schemas. Call it when a process is ready to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
