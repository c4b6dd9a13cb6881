"""What leaves memory is gone at once: the garbage collector never looks at what a replica loads before it is ready."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

from adaptrix_core.adapters import AdapterManager, DynamicLoader, TrustPolicy, describe
from adaptrix_core.base import BaseModel
from adaptrix_core.injection.injector import LayerInjector


def test_weights_that_leave_are_freed_without_the_garbage_collector(
    tmp_path: Path, base: BaseModel, make_weights: Callable
) -> None:
    manager = AdapterManager(tmp_path / "adapters", base, TrustPolicy("off"))
    for seed, name in enumerate(("a0", "a1")):
        written = make_weights(base, seed=seed)
        manager.save_adapter(describe(written, base.info, name), written)
    room = written.nbytes  # of one adapter
    loader = DynamicLoader(
        manager, LayerInjector(base), host_budget_bytes=room, device_budget_bytes=room, preload=False
    )
    leaving = weakref.ref(loader.load("a0").weights)
    gc.collect()
    gc.disable()
    try:
        loader.preload_adapters(["a0"])
        loader.preload_adapters(["a1"])
        assert loader.residency("a1") == "device"
        assert leaving() is None
    finally:
        gc.enable()
        loader.close()
