"""Residency: what is pinned stays, what fails changes nothing, what is asked for twice is read once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from adaptrix_core.adapters import AdapterManager, DynamicLoader, TrustPolicy, describe
from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.errors import AdapterExists, AdapterNotFound, AdapterRejected, CacheFull
from adaptrix_core.injection.injector import LayerInjector

NAMES = ["a0", "a1", "a2", "a3", "a4", "a5"]
ONE = 1152
"""Bytes of one of these adapters: rank 2 in q_proj (32 in, 32 out) and up_proj (32 in, 48 out), fp32."""


class GatedManager(AdapterManager):
    """The real manager; reads are counted and can be held at a gate."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.reads: list[str] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def load_adapter(self, source: str | Path) -> Adapter:
        self.reads.append(str(source))
        self.begun.release()
        assert self.gate.wait(30)
        return super().load_adapter(source)


@pytest.fixture
def manager(tmp_path, base, make_weights) -> GatedManager:
    manager = GatedManager(tmp_path / "adapters", base, TrustPolicy("off"))
    for seed, name in enumerate(NAMES):
        weights = make_weights(base, seed=seed)
        assert weights.nbytes == ONE
        manager.save_adapter(describe(weights, base.info, name), weights)
    return manager


@pytest.fixture
def injector(base):
    return LayerInjector(base)


@pytest.fixture
def make_loader(manager, injector):
    loaders = []

    def build(host: int = 4, device: int = 2, preload: bool = False) -> DynamicLoader:
        loader = DynamicLoader(
            manager, injector, host_budget_bytes=host * ONE, device_budget_bytes=device * ONE, preload=preload
        )
        loaders.append(loader)
        return loader

    yield build
    manager.gate.set()
    for loader in loaders:
        loader.close()


def state(loader: DynamicLoader, injector: LayerInjector) -> object:
    return loader.get_memory_usage(), loader.loaded_names(), injector.get_active_adapters()


def test_a_loaded_name_is_answered_from_memory(make_loader, manager):
    loader = make_loader()
    first = loader.load("a0")
    assert loader.load("a0") is first
    assert loader.load("a0@1.0.0") is first
    assert manager.reads == ["a0"]
    assert loader.residency("a0") == "host"


def test_many_threads_asking_for_one_adapter_read_it_once(make_loader, manager):
    loader = make_loader()
    manager.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(loader.load, "a0") for _ in range(8)]
        assert manager.begun.acquire(timeout=30)
        manager.gate.set()
        adapters = {id(future.result()) for future in futures}
    assert len(adapters) == 1
    assert manager.reads == ["a0"]


def test_threads_that_share_a_failing_read_all_get_the_error_and_the_next_try_reads_again(make_loader, manager):
    loader = make_loader()
    layer = manager.path_of("a0") / "layer_1.safetensors"
    good = layer.read_bytes()
    layer.write_bytes(good[:-4])
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(loader.load, "a0") for _ in range(4)]:
            with pytest.raises(AdapterRejected):
                future.result()
    layer.write_bytes(good)
    assert loader.load("a0").name == "a0"


def test_the_least_recently_used_adapter_leaves_host_and_device_together(make_loader, injector):
    loader = make_loader(host=2, device=2)
    first = loader.load("a0")
    loader.preload_adapters(["a0"])
    assert loader.residency("a0") == "device"
    loader.load("a1")
    loader.load("a2")
    assert [loader.residency(name) for name in ("a0", "a1", "a2")] == ["disk", "host", "host"]
    assert first.weights_digest not in injector.get_active_adapters()


def test_a_failed_load_changes_nothing_even_when_memory_is_full(make_loader, manager, injector):
    loader = make_loader(host=2, device=2)
    loader.preload_adapters(["a0", "a1"])
    before = state(loader, injector)
    (manager.path_of("a2") / "layer_1.safetensors").write_bytes(b"")
    with pytest.raises(AdapterRejected):
        loader.load("a2")
    with pytest.raises(AdapterNotFound):
        loader.load("nobody")
    assert state(loader, injector) == before


def test_pinned_adapters_stay_and_the_refusal_names_both_numbers(make_loader, injector):
    loader = make_loader(host=2)
    for name in ("a0", "a1"):
        loader.pin(loader.load(name).weights_digest)
    before = state(loader, injector)
    with pytest.raises(CacheFull) as refused:
        loader.load("a2")
    assert f"{2 * ONE} bytes" in refused.value.message
    assert f"; {ONE} more" in refused.value.message
    assert state(loader, injector) == before
    loader.unpin(loader.load("a0").weights_digest)
    assert loader.load("a2").name == "a2"
    assert loader.residency("a0") == "disk"


def test_pinning_what_is_resident_reads_nothing_and_what_is_not_is_left_alone(make_loader, manager):
    loader = make_loader(host=1)
    first, second = loader.load("a0"), loader.load("a1")
    manager.reads.clear()
    assert not loader.pin_at_once(first.weights_digest)
    assert loader.pin_at_once(second.weights_digest)
    with pytest.raises(CacheFull):
        loader.load("a0")  # the only place is pinned
    with loader._lock, ThreadPoolExecutor(1) as pool:  # another thread puts something on the device
        assert not pool.submit(loader.pin_at_once, second.weights_digest).result(30)
    loader.unpin(second.weights_digest)
    assert manager.reads == ["a0"]
    loader.pin(first.weights_digest)
    assert loader.residency("a1") == "disk"


def test_slots_come_all_or_nothing(make_loader, injector):
    loader = make_loader(device=2)
    digests = [loader.load(name).weights_digest for name in NAMES[:3]]
    assert loader.acquire_slots([digests[0]])
    assert not loader.acquire_slots([digests[1], digests[2]])
    assert set(injector.get_active_adapters()) == {digests[0]}
    assert loader.acquire_slots([digests[1], digests[0]])
    loader.release_slots([digests[0]])
    assert not loader.acquire_slots([digests[2]]), "a0 is still held by the second request"
    loader.release_slots([digests[0], digests[1]])
    assert loader.acquire_slots([digests[1], digests[2]])
    assert set(injector.get_active_adapters()) == {digests[1], digests[2]}


def test_a_mix_wider_than_the_device_is_refused_with_both_numbers(make_loader):
    loader = make_loader(device=2)
    digests = [loader.load(name).weights_digest for name in NAMES[:3]]
    for attempt in (loader.check_fits, loader.acquire_slots):
        with pytest.raises(CacheFull) as refused:
            attempt(digests)
        assert str(3 * ONE) in refused.value.message
        assert str(2 * ONE) in refused.value.message
    loader.check_fits(digests[:2])


def test_by_default_three_of_the_largest_adapter_fit_whatever_the_device_has(manager, injector, monkeypatch):
    monkeypatch.setattr("adaptrix_core.adapters.residency.device_slots.device_memory", lambda device: 10 * ONE)
    loader = DynamicLoader(manager, injector, preload=False)
    digests = [loader.load(name).weights_digest for name in NAMES[:4]]
    assert loader.acquire_slots(digests[:3])
    with pytest.raises(CacheFull):
        loader.check_fits(digests)


class TightInjector(LayerInjector):
    """The real injector on a device that holds fewer adapters than the budget says."""

    capacity = 2

    def inject_adapter(self, weights) -> None:
        if len(self.get_active_adapters()) >= self.capacity:
            raise torch.OutOfMemoryError("out of memory")
        super().inject_adapter(weights)


def test_out_of_memory_evicts_the_least_recently_used_and_else_waits(manager, base):
    injector = TightInjector(base)
    loader = DynamicLoader(manager, injector, host_budget_bytes=9 * ONE, device_budget_bytes=9 * ONE, preload=False)
    digests = [loader.load(name).weights_digest for name in NAMES[:4]]
    loader.preload_adapters(["a0", "a1"])
    assert loader.acquire_slots([digests[2]])
    assert set(injector.get_active_adapters()) == {digests[1], digests[2]}
    assert not loader.acquire_slots([digests[0], digests[3]])
    assert digests[2] in injector.get_active_adapters()
    loader.release_slots([digests[2]])
    assert loader.acquire_slots([digests[0], digests[3]])
    injector.capacity = 0
    loader.release_slots([digests[0], digests[3]])
    loader.cleanup_unused_adapters()
    loader.pin(digests[0])
    with pytest.raises(CacheFull, match="out of memory"):
        loader.acquire_slots([digests[0]])


def test_unloading_in_use_refuses_new_requests_at_once_and_frees_with_the_last_pin(make_loader, injector):
    loader = make_loader()
    digest = loader.load("a0").weights_digest
    loader.pin(digest)
    assert loader.acquire_slots([digest])
    assert loader.unload("a0") is False
    with pytest.raises(AdapterNotFound):
        loader.pin(digest)
    assert digest in injector.get_active_adapters(), "the running request goes on"
    loader.release_slots([digest])
    assert loader.acquire_slots([digest]), "also after a preemption"
    loader.release_slots([digest])
    loader.unpin(digest)
    assert injector.get_active_adapters() == {}
    assert loader.get_memory_usage()["adapters"] == {}


def test_an_adapter_loaded_again_while_it_drains_stays(make_loader):
    loader = make_loader()
    digest = loader.load("a0").weights_digest
    loader.pin(digest)
    loader.unload("a0")
    assert loader.load("a0").weights_digest == digest
    loader.unpin(digest)
    assert loader.residency("a0") == "host"


def test_weights_under_two_names_are_held_once_and_freed_with_the_second(make_loader, manager):
    loader = make_loader()
    loader.load("a0")
    loader.load(manager.path_of("a0"), alias="again")
    assert loader.get_memory_usage()["host"]["used_bytes"] == ONE
    assert loader.unload("a0") is True
    assert loader.residency("again") == "host"
    loader.unload("again")
    assert loader.get_memory_usage()["host"]["used_bytes"] == 0
    with pytest.raises(AdapterNotFound):
        loader.unload("again")


def test_a_name_in_use_for_other_weights_is_not_taken_over(make_loader, manager):
    loader = make_loader()
    digest = loader.load(manager.path_of("a0"), alias="mine").weights_digest
    with pytest.raises(AdapterExists):
        loader.load(manager.path_of("a1"), alias="mine")
    assert loader.load("mine").weights_digest == digest
    assert loader.load(manager.path_of("a0"), alias="mine").weights_digest == digest


def test_two_loads_of_one_name_at_once_leave_one_of_them(make_loader, manager):
    loader = make_loader()
    manager.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(loader.load, manager.path_of(name), "mine") for name in ("a0", "a1")]
        for _ in futures:
            assert manager.begun.acquire(timeout=30)
        manager.gate.set()
        errors = [future.exception() for future in futures]
    assert sorted(type(error) for error in errors if error) == [AdapterExists]
    winner = futures[errors.index(None)].result()
    assert loader.load("mine").weights_digest == winner.weights_digest


def test_an_evicted_alias_is_read_again_from_where_it_came(make_loader, manager):
    loader = make_loader(host=1)
    digest = loader.load(manager.path_of("a0"), alias="mine").weights_digest
    loader.load("a1")
    assert loader.residency("mine") == "disk"
    loader.pin(digest)
    assert loader.residency("mine") == "host"
    assert loader.residency("nobody") == "absent"


def test_prefetch_loads_in_the_background_and_reports_its_error(make_loader, manager):
    loader = make_loader()
    assert loader.prefetch("a0").result(30).name == "a0"
    assert loader.residency("a0") == "host"
    with pytest.raises(AdapterNotFound):
        loader.prefetch("nobody").result(30)


def test_the_usual_follower_is_loaded_ahead_but_only_into_free_memory(make_loader, manager):
    loader = make_loader(host=4, preload=True)
    for _ in range(3):
        loader.load("a0")
        loader.load("a1")
    loader.prefetch("a2").result(30)
    loader.cleanup_unused_adapters()
    manager.reads.clear()
    loader.load("a0")
    loader.prefetch("a3").result(30)  # the one background thread works in order: the guess before it is done
    assert loader.residency("a1") == "host"
    loader.load("a4")
    loader.cleanup_unused_adapters()
    for name in ("a2", "a3", "a4"):
        loader.pin(loader.load(name).weights_digest)
    loader.pin(loader.load("a5").weights_digest)
    assert loader.get_memory_usage()["host"]["used_bytes"] == 4 * ONE
    loader.close()
    assert {loader.residency(name) for name in ("a2", "a3", "a4", "a5")} == {"host"}


def test_cleanup_frees_what_is_not_in_use_and_names_it(make_loader, injector):
    loader = make_loader()
    loader.preload_adapters(["a0", "a1"])
    loader.pin(loader.load("a2").weights_digest)
    assert sorted(loader.cleanup_unused_adapters()) == ["a0@1.0.0", "a1@1.0.0"]
    assert injector.get_active_adapters() == {}
    assert [loader.residency(name) for name in ("a0", "a1", "a2")] == ["disk", "disk", "host"]


def test_accounts_agree_after_thousands_of_random_calls_from_many_threads(make_loader, injector):
    loader = make_loader(host=4, device=3, preload=True)

    def worker(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(150):
            names = choose.sample(NAMES, choose.randint(1, 2))
            pinned: list[str] = []
            try:
                for name in names:
                    digest = loader.load(name).weights_digest
                    loader.pin(digest)
                    pinned.append(digest)
                if loader.acquire_slots(pinned):
                    assert set(pinned) <= set(injector.get_active_adapters())
                    loader.release_slots(pinned)
                if choose.random() < 0.1:
                    loader.unload(choose.choice(NAMES))
                if choose.random() < 0.05:
                    loader.cleanup_unused_adapters()
            except (CacheFull, AdapterNotFound):
                continue  # four threads with two pins each can fill four places: then the request is refused
            finally:
                for digest in pinned:
                    loader.unpin(digest)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(worker, seed) for seed in range(4)]:
            future.result(timeout=120)
    loader.close()
    usage = loader.get_memory_usage()
    assert usage["host"]["pinned_bytes"] == usage["device"]["pinned_bytes"] == 0
    assert usage["host"]["used_bytes"] == len(usage["adapters"]) * ONE <= 4 * ONE
    on_device = {digest for digest, entry in usage["adapters"].items() if entry["residency"] == "device"}
    assert on_device == set(injector.get_active_adapters())
    loader.cleanup_unused_adapters()
    assert injector.get_active_adapters() == {}
