"""Regional compile: one compiled function for all decoder layers, made in the background while layers run as they are.

The region is one layer, so the compiler sees a few hundred operations whatever the model's depth, and its code serves
every layer of the same kind. Weights are inputs of that code; adapters (`adaptrix::lora`) and cache
(`adaptrix::paged_attention`) are opaque to the compiler. So nothing that changes while serving, such as adapters, rows
or lengths, causes a recompilation. The one exception is the number of tokens: 1 is a case, all others are another.

Inductor keeps its code on disk, below ``TORCHINDUCTOR_CACHE_DIR`` (by default ``torchinductor_<user>`` in the directory
for temporary files), keyed by the code itself: a second start compiles nothing that the first one has compiled.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.running import NO_LAYER, call_directly, running

State = Literal["compiling", "ready", "failed"]

_TOKEN_COUNTS = (2, 1)
"""Packed lengths that are compiled, one for each case: torch treats all sizes but 0 and 1 as one."""
_RECOMPILE_LIMIT = 64
"""Most variants of the function (kinds of layer times token counts) that are compiled; torch's own limit, 8, is meant
for one function of a user."""

_log = logging.getLogger(__name__)


class CompiledLayers:
    """Calls decoder layers: as they are until the compiled code is ready, compiled from then on.

    Made after every hook is registered: torch does not look for new ones in compiled code.
    """

    def __init__(self, base: BaseModel, backend: str | Callable[..., Any] = "inductor") -> None:
        """backend: torch.compile's; it is started by `start`."""
        self._base = base
        self._compiled: Callable[..., Tensor] = torch.compile(  # type: ignore[call-overload]
            _call_layer, backend=backend, isolate_recompiles=True, recompile_limit=_RECOMPILE_LIMIT
        )
        self._thread = threading.Thread(target=self._compile, name="adaptrix-compile", daemon=True)
        self.state: State = "compiling"
        self.seconds = 0.0
        """Seconds that compiling has taken."""
        self.error: str | None = None
        """Why the layers stay uncompiled; None while there is no such reason."""

    def __call__(self, layer: nn.Module, hidden: Tensor, arguments: Mapping[str, Any]) -> Tensor:
        """See `LayerCall`."""
        if self.state != "ready":
            return call_directly(layer, hidden, arguments)
        return self._compiled(layer, hidden, **arguments)

    def start(self) -> None:
        """Compile in a thread of its own; returns at once."""
        self._thread.start()

    def wait(self) -> None:
        """Return when the compiler has ended, whether it succeeded or not."""
        self._thread.join()

    def stats(self) -> dict[str, Any]:
        """State, seconds and, if it failed, why."""
        return {"state": self.state, "seconds": self.seconds, "error": self.error}

    @torch.inference_mode()
    def _compile(self) -> None:
        began = time.perf_counter()
        try:
            for count in _TOKEN_COUNTS:
                self._run_all_layers(count)
        except Exception as error:  # whatever error the compiler ends in, the layers still run uncompiled
            self.seconds = time.perf_counter() - began
            self.error, self.state = f"{type(error).__name__}: {error}", "failed"
            _log.warning("the model's layers run uncompiled: %s", self.error)
            return
        self.seconds = time.perf_counter() - began
        self.state = "ready"
        _log.info("compiled the model's layers in %.1f s", self.seconds)

    def _run_all_layers(self, count: int) -> None:
        """Call every layer once. Layers that are alike only pass the guards, nothing more is compiled for them."""
        device = self._base.device
        positions = torch.arange(count, device=device)[None]
        hidden = self._base.embed(torch.zeros_like(positions), positions)
        rotary = self._base.rotary(hidden, positions)

        def compiled(layer: nn.Module, states: Tensor, arguments: Mapping[str, Any]) -> Tensor:
            running.layer = NO_LAYER  # no adapter acts there: the step's adapters belong to another thread
            if count > 1:
                _mark_packed(states, positions, *itertools.chain(*rotary.values()))
            return self._compiled(layer, states, **arguments)

        layers = range(self._base.info.num_layers)
        self._base.run_span(layers, hidden, positions, rotary, _NoAttention(), compiled)


class _NoAttention:
    """Stands in for `SpanAttention` while compiling: there are no rows, and the cache belongs to another thread."""

    def attend(self, layer: int, query: Tensor, *_: Any) -> Tensor:
        return torch.zeros_like(query)


def _mark_packed(*tensors: Tensor) -> None:
    """Mark the number of tokens as dynamic, not a constant of the compiled code."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 1)


def _call_layer(layer: nn.Module, hidden: Tensor, **arguments: Any) -> Tensor:
    return call_directly(layer, hidden, arguments)
