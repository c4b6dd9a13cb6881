"""Which layer this thread is running, and on what: for what sits inside a layer and cannot be told by argument.

Hooks and the attention function are reached through a transformers layer. Were the layer's number an argument on that
way, code compiled for one layer could not run another one; so they look here, when they run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

LayerCall = Callable[[nn.Module, Tensor, Mapping[str, Any]], Tensor]
"""(decoder layer, states entering it ``(1, tokens, hidden)``, its other arguments) -> states leaving it."""

NO_LAYER = -1


def call_directly(layer: nn.Module, hidden: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """The layer as it is."""
    states: Tensor = layer(hidden, **arguments)
    return states


class Running(threading.local):
    """Of this thread."""

    def __init__(self) -> None:
        self.layer = NO_LAYER
        self.paged: Any = None
        """What the attention function works on: a `SpanAttention`, or what stands in for one."""

    @contextmanager
    def span(self, paged: Any) -> Iterator[None]:
        """Layers inside run on ``paged``."""
        self.paged = paged
        try:
            yield
        finally:
            self.layer, self.paged = NO_LAYER, None


running = Running()
