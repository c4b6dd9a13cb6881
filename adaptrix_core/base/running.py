"""The layer that this thread is running, and its input, for code inside a layer that cannot get it as an argument.

Hooks and the attention function are called through a transformers layer. Were the layer's number an argument on that
way, code compiled for one layer could not run another one; so they read it here, when they run.
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
    """Call the layer uncompiled."""
    states: Tensor = layer(hidden, **arguments)
    return states


class Running(threading.local):
    """The state of this thread."""

    def __init__(self) -> None:
        self.layer = NO_LAYER
        self.paged: Any = None
        """The geometry for the attention function: a `SpanAttention`, or a stand-in for one."""

    @contextmanager
    def span(self, paged: Any) -> Iterator[None]:
        """Set ``paged`` for layers that run in this context."""
        self.paged = paged
        try:
            yield
        finally:
            self.layer, self.paged = NO_LAYER, None


running = Running()
