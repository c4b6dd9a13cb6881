"""What a process has loaded is never looked through again; what it makes afterwards is collected as ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from deployments.shared.gc_tuning import YOUNG, spare_what_is_loaded


class Knot:
    """Held by itself alone."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def spared() -> Iterator[None]:
    before = gc.get_threshold()
    spare_what_is_loaded()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_loaded_is_spared(spared: None) -> None:
    assert gc.get_freeze_count() > 10_000  # the modules of this very process
    assert gc.get_threshold()[0] == YOUNG
    assert not any(made is gc for made in gc.get_objects())


def test_what_is_made_afterwards_is_collected(spared: None) -> None:
    knot = weakref.ref(Knot())
    gc.collect()
    assert knot() is None
