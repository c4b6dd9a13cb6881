"""Garbage collector settings for processes that live long and answer many small requests."""

from __future__ import annotations

import gc

YOUNG = 10_000
"""Threshold of the youngest generation: objects allocated, less those freed, before a collection. About as many as a
few requests allocate, so that most are freed by then. Python's default is 700."""


def spare_what_is_loaded() -> None:
    """Exempt all present objects (modules, models, schemas) from collection. To be called once a process is ready."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
