"""The backend of a base model, chosen once: layers as modules with hooks, or as native calls over packed weights.

A backend is a matching pair: the injector that holds adapters, and the spans that compute with them.
"""

from __future__ import annotations

from typing import Any, Protocol

from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.packed_model import PackedModel
from adaptrix_core.base.running import call_directly
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.compiled import CompiledLayers
from adaptrix_core.engine.compute.inspected import InspectedRun, inspect_modules
from adaptrix_core.engine.compute.inspected_packed import inspect_packed
from adaptrix_core.engine.compute.native import NativeSpans
from adaptrix_core.engine.compute.spans import ModuleSpans, Spans
from adaptrix_core.engine.options import EngineOptions
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.injection.backends.native import NativeInjector
from adaptrix_core.injection.injector import Injector, LayerInjector


class Backend(Protocol):
    """One way to run a base model."""

    @property
    def injector(self) -> Injector:
        """The injector that holds the adapters."""

    @property
    def compiled(self) -> CompiledLayers | None:
        """The compiled layers; None where layers are not compiled."""

    def spans(self, cache: KVCache) -> Spans:
        """The spans of layers over ``cache``; called once. Only from here on the model itself is touched: it gets its
        hooks, where there are any, and compiling starts, if that is wanted.
        """

    def inspect(self, row: Row, attention: bool) -> InspectedRun:
        """Compute the prompt of ``row`` by itself and keep the inside; its adapters are on the device.

        attention: whether what the layers attend by is kept, too.
        """

    def graph_stats(self) -> dict[str, Any] | None:
        """Counts of the CUDA graphs; None where there are none."""


class ModuleBackend:
    """The model's own modules, with a hook at every injection point."""

    def __init__(self, base: BaseModel, options: EngineOptions) -> None:
        self._base = base
        self._options = options
        self.injector = LayerInjector(base)
        self.compiled = CompiledLayers(base) if options.compile else None
        self._spans: ModuleSpans | None = None

    def spans(self, cache: KVCache) -> Spans:
        """See `Backend.spans`."""
        self.injector.register_all()  # before anything is compiled: later hooks would not be called
        spans = self._spans = ModuleSpans(self._base, cache, self.injector, self.compiled or call_directly)
        if self._options.cuda_graphs_on(self._base.device):
            spans.graph_decoding(self._options.max_rows)
        if self.compiled is not None:
            self.compiled.start()
        return spans

    def inspect(self, row: Row, attention: bool) -> InspectedRun:
        """See `Backend.inspect`."""
        return inspect_modules(self._base, self.injector, row, attention)

    def graph_stats(self) -> dict[str, Any] | None:
        """See `Backend.graph_stats`."""
        graphed = None if self._spans is None else self._spans.graphed
        return None if graphed is None else graphed.stats()


class NativeBackend:
    """The native kernels over packed weights. Nothing is compiled or captured here."""

    def __init__(self, base: PackedModel, options: EngineOptions) -> None:
        options.cuda_graphs_on(base.device)  # raises where graphs are asked for
        self._base = base
        self.compiled: CompiledLayers | None = None
        self.injector = NativeInjector(base, options.adapter_bank)

    def spans(self, cache: KVCache) -> Spans:
        """See `Backend.spans`."""
        return NativeSpans(self._base, cache, self.injector)

    def inspect(self, row: Row, attention: bool) -> InspectedRun:
        """See `Backend.inspect`."""
        return inspect_packed(self._base, self.injector, row, attention)

    def graph_stats(self) -> dict[str, Any] | None:
        """None: there are no graphs."""
        return None


def backend_of(base: BaseModel, options: EngineOptions) -> Backend:
    """The backend of this base model."""
    return NativeBackend(base, options) if isinstance(base, PackedModel) else ModuleBackend(base, options)
