"""What making a backend does to the base model that it is for."""

from __future__ import annotations

from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.backend import backend_of
from adaptrix_core.engine.options import EngineOptions
from tests.tiny_models import random_base


def test_a_backend_hooks_the_model_once_it_makes_spans_and_not_before():
    base = random_base()
    layers = base.family.layers(base.module)
    modules = [layers[layer].get_submodule(spec.module_path) for (layer, _), spec in base.points.items()]
    backend = backend_of(base, EngineOptions())
    assert not any(module._forward_hooks for module in modules)
    backend.spans(KVCache(base, [range(base.info.num_layers)], 4, 16))
    assert all(module._forward_hooks for module in modules)
