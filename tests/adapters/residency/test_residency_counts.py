"""What the loader counts: where adapters were found, what was brought in, what had to go. Unloading is no eviction."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters import AdapterManager, DynamicLoader, TrustPolicy, describe
from adaptrix_core.injection.injector import LayerInjector

ONE = 1152
"""Bytes of one of these adapters."""


def make_loader(directory: Path, base, make_weights, host: int, device: int) -> tuple[DynamicLoader, list[str]]:
    """A loader over three adapters, with room for so many; and their names."""
    manager = AdapterManager(directory, base, TrustPolicy("off"))
    names = ["a0", "a1", "a2"]
    for seed, name in enumerate(names):
        weights = make_weights(base, seed=seed)
        assert weights.nbytes == ONE
        manager.save_adapter(describe(weights, base.info, name), weights)
    budgets = {"host_budget_bytes": host * ONE, "device_budget_bytes": device * ONE}
    return DynamicLoader(manager, LayerInjector(base), preload=False, **budgets), names


def test_hits_loads_and_evictions_on_the_device(tmp_path, base, make_weights) -> None:
    loader, names = make_loader(tmp_path / "adapters", base, make_weights, host=3, device=1)
    first, second = (loader.load(name).weights_digest for name in names[:2])
    for digest in (first, first, second):
        assert loader.acquire_slots([digest])
        if digest == second:
            assert not loader.acquire_slots([first]), "no room, which counts for nothing"
        loader.release_slots([digest])
    counts = loader.residency_counts()
    assert counts[first] == {
        "hit": {"host": 1, "device": 1},
        "load": {"host": 1, "device": 1},
        "eviction": {"device": 1},
    }
    assert counts[second] == {"hit": {"host": 1}, "load": {"host": 1, "device": 1}}


def test_an_adapter_evicted_from_the_host_leaves_the_device_too_and_is_found_on_disk(
    tmp_path, base, make_weights
) -> None:
    loader, names = make_loader(tmp_path / "adapters", base, make_weights, host=1, device=1)
    first = loader.load(names[0]).weights_digest
    assert loader.acquire_slots([first])
    loader.release_slots([first])
    loader.load(names[1])
    assert loader.residency_counts()[first]["eviction"] == {"host": 1, "device": 1}
    loader.pin(first)
    assert loader.residency_counts()[first]["hit"] == {"host": 1, "disk": 1}
    assert loader.residency_counts()[first]["load"] == {"host": 2, "device": 1}


def test_what_is_unloaded_is_forgotten_and_not_evicted(tmp_path, base, make_weights) -> None:
    loader, names = make_loader(tmp_path / "adapters", base, make_weights, host=1, device=1)
    digest = loader.load(names[0]).weights_digest
    assert loader.unload(names[0])
    assert digest not in loader.residency_counts()
