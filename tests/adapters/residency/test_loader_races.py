"""A read takes long, and meanwhile its name is unloaded, given to other weights, or its files are replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptrix_core.adapters import AdapterManager, DynamicLoader, TrustPolicy, describe, write_package
from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterNotFound
from adaptrix_core.injection.injector import LayerInjector

ONE = 1152
"""Bytes of one adapter; the loader's host memory holds a single one."""
WAIT_S = 30


class HoldingManager(AdapterManager):
    """The real manager, whose reads of chosen sources end only when they are told to."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.held: set[str] = set()
        self.has_read = threading.Semaphore(0)
        self.go_on = threading.Event()

    def load_adapter(self, source: str | Path) -> Adapter:
        adapter = super().load_adapter(source)
        if str(source) in self.held:
            self.has_read.release()
            assert self.go_on.wait(WAIT_S)
        return adapter


@pytest.fixture
def write(tmp_path: Path, base: BaseModel, make_weights: Callable) -> Callable[..., str]:
    """``write(name, seed)`` writes a package, over an older one if there is one, and returns its weights digest."""

    def write(name: str, seed: int, version: str = "1.0.0", directory: str | None = None) -> str:
        weights = make_weights(base, seed=seed)
        where = tmp_path / "adapters" / (directory or name)
        write_package(where, describe(weights, base.info, name, version=version), weights)
        return str(weights.weights_digest)

    return write


@pytest.fixture
def manager(tmp_path: Path, base: BaseModel) -> HoldingManager:
    return HoldingManager(tmp_path / "adapters", base, TrustPolicy("off"))


@pytest.fixture
def loader(manager: HoldingManager, base: BaseModel) -> Iterator[DynamicLoader]:
    made = DynamicLoader(manager, LayerInjector(base), host_budget_bytes=ONE, preload=False)
    yield made
    made.close()


@pytest.fixture
def pool(manager: HoldingManager) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads
        manager.go_on.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "adapters" / "mine"


@pytest.fixture
def evicted(loader: DynamicLoader, write: Callable[..., str], path: Path) -> str:
    """Weights digest of an adapter that is registered as ``tenant`` and no longer in memory."""
    digest = write("mine", 1)
    write("other", 2)
    loader.load(path, alias="tenant")
    loader.load("other")
    assert loader.residency("tenant") == "disk"
    return digest


def begin(manager: HoldingManager, pool: ThreadPoolExecutor, path: Path, function: Callable, *args: object) -> Future:
    """Start a call whose read of ``path`` is done and has not been answered yet."""
    manager.held.add(str(path))
    call = pool.submit(function, *args)
    assert manager.has_read.acquire(timeout=WAIT_S)
    manager.held.clear()
    return call


def test_a_name_given_to_new_weights_while_the_old_are_read_again_keeps_the_new(
    loader: DynamicLoader, manager: HoldingManager, pool: ThreadPoolExecutor, evicted: str, path: Path, tmp_path: Path
) -> None:
    reading = begin(manager, pool, path, loader.load, "tenant")
    loader.unload("tenant")
    new = loader.load(tmp_path / "adapters" / "other", alias="tenant")
    manager.go_on.set()
    assert reading.result(WAIT_S).weights_digest == new.weights_digest != evicted
    assert loader.loaded_names()["tenant"] == new.weights_digest


@pytest.mark.parametrize("ask", ["load", "pin"])
def test_a_name_unloaded_while_it_is_read_again_stays_unloaded(
    loader: DynamicLoader, manager: HoldingManager, pool: ThreadPoolExecutor, evicted: str, path: Path, ask: str
) -> None:
    wanted = {"load": "tenant", "pin": evicted}[ask]
    reading = begin(manager, pool, path, getattr(loader, ask), wanted)
    loader.unload("tenant")
    manager.go_on.set()
    with pytest.raises(AdapterNotFound):
        reading.result(WAIT_S)
    assert set(loader.loaded_names()) == {"other"}
    loader.unload("other")
    assert loader.get_memory_usage()["adapters"] == {}


def test_a_path_is_read_anew_though_an_older_read_of_it_has_not_ended(
    loader: DynamicLoader, manager: HoldingManager, pool: ThreadPoolExecutor, write: Callable[..., str], path: Path
) -> None:
    old = write("mine", 1)
    reading = begin(manager, pool, path, loader.load, path, "before")
    new = write("mine", 2)
    loading = pool.submit(loader.load, path, "after")
    assert loading.result(WAIT_S).weights_digest == new
    manager.go_on.set()
    assert reading.result(WAIT_S).weights_digest == old
    assert loader.loaded_names() == {"before": old, "after": new}


def test_a_version_asked_for_by_number_is_that_version_though_a_newer_one_came(
    loader: DynamicLoader, write: Callable[..., str]
) -> None:
    first = write("mine", 1, "1.0.0")
    write("other", 3)
    loader.load("mine")
    loader.load("other")  # which takes the place of the first
    second = write("mine", 2, "2.0.0", "mine@2.0.0")
    assert loader.load("mine@1.0.0").weights_digest == first
    assert loader.load("mine").weights_digest == second


def test_a_version_of_one_of_two_names_with_equal_weights_is_answered(
    loader: DynamicLoader, write: Callable[..., str]
) -> None:
    assert write("mine", 1) == write("other", 1)
    for name in ("mine", "other", "mine@1.0.0", "other@1.0.0"):
        assert loader.load(name).weights_digest == loader.loaded_names()["mine"]
