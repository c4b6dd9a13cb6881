"""The one owner of residency: which adapters are in host memory, and which on the device.

An adapter is loaded and verified first; only then is room made for it, so a failed load changes nothing. Adapters of
running requests are pinned. All adapters on the device are in host memory too, so slots are refilled without the disk.

Any thread may call any method. Reading and verifying happen outside the lock. Concurrent loads of one name share one
read (single-flight); a path is read for every caller, as its files may have been replaced since. If a name has come to
mean other weights meanwhile, the read is dropped. The injector is written under the lock, pinned adapters stay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.reference import without_latest
from adaptrix_core.adapters.residency.byte_lru import ByteLRU
from adaptrix_core.adapters.residency.counts import Counts, ResidencyCounts
from adaptrix_core.adapters.residency.device_slots import DeviceSlots
from adaptrix_core.adapters.residency.preload import Preloader
from adaptrix_core.adapters.residency.registrations import Registration, Registrations
from adaptrix_core.adapters.residency.tiers import ABSENT, Residency
from adaptrix_core.adapters.sources.opening import is_location
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterNotFound
from adaptrix_core.injection.injector import Injector

HOST_SHARE = 0.25
"""Default budget for adapters, as a share of host memory."""


class DynamicLoader:
    """Loads adapters on demand, keeps the recently used ones, and makes room by evicting the others (LRU)."""

    def __init__(
        self,
        manager: AdapterManager,
        injector: Injector,
        *,
        host_budget_bytes: int | None = None,
        device_budget_bytes: int | None = None,
        preload: bool = True,
    ) -> None:
        """preload: load likely next adapters ahead, in the background, into free memory only."""
        self._manager = manager
        self._lock = threading.RLock()
        if host_budget_bytes is None:
            host_budget_bytes = int(psutil.virtual_memory().total * HOST_SHARE)
        self._host = ByteLRU[WeightsDigest, Adapter]("host memory for adapters", host_budget_bytes)
        base = manager.require_base()
        self._counts = ResidencyCounts()
        self._device = DeviceSlots(injector, base.device, device_budget_bytes, self._counts)
        self._names = Registrations()
        self._flights: dict[str, Future[Adapter]] = {}
        self._retired: set[WeightsDigest] = set()
        """Unloaded adapters that running requests still pin: freed with the last pin, refused to new requests."""
        self._preloader: Preloader[Adapter] = Preloader(self._load_named, self._load_if_free, enabled=preload)

    def load(self, source: str | Path, alias: str | None = None, snapshot: Snapshot | None = None) -> Adapter:
        """Make an adapter resident in host memory, verified, and usable by name; returns it.

        A name that is loaded already is answered from memory. A path is read again, usable as ``alias`` or by its own
        name; where the caller has its ``snapshot``, that is used, and the path is read only after an eviction.
        Raises AdapterNotFound, AdapterRejected, CacheFull; for the name AdapterExists (in use), Conflict.
        """
        if is_location(source) or alias is not None:
            adapter = self._manager.load_adapter(source) if snapshot is None else self._manager.load_snapshot(snapshot)
            self._manager.check_name(alias or adapter.name, adapter)
            with self._lock:
                self._register(alias or adapter.name, source, adapter)
            return adapter
        adapter = self._load_named(without_latest(str(source)))
        self._preloader.used(str(source))  # only once it is known to exist: made-up names must not fill the counts
        return adapter

    def verify(self, source: str | Path) -> Adapter | Composition:
        """Read and verify an adapter as `load` does, or a composition, and change nothing.

        Raises AdapterNotFound or AdapterRejected.
        """
        return self._manager.load_package(source)

    def pin(self, weights_digest: WeightsDigest) -> None:
        """Keep an adapter in host memory until as many `unpin` calls; reads it again if it was evicted meanwhile.

        Raises AdapterNotFound where no loaded name has this digest, or has it no longer.
        """
        with self._lock:
            if self._pin_resident(weights_digest):
                return
            known = self._names.names_of(weights_digest)
        for name, entry in known.items():
            adapter = self._read_named(name, entry)
            with self._lock:
                if adapter.weights_digest == weights_digest and self._names.has(weights_digest):
                    self._keep(adapter)
                    self._host.pin(weights_digest)
                    self._counts.count("hit", "disk", [weights_digest])
                    return
        raise AdapterNotFound(f"no loaded adapter has weights {weights_digest[:12]}…; it was unloaded or replaced")

    def pin_at_once(self, weights_digest: WeightsDigest) -> bool:
        """As `pin`, but without reading or waiting: False, pinning nothing, where it would have to."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._pin_resident(weights_digest)
        finally:
            self._lock.release()

    def unpin(self, weights_digest: WeightsDigest) -> None:
        """Take back one `pin`; an adapter that was unloaded meanwhile is freed with the last one."""
        with self._lock:
            if self._host.unpin(weights_digest) == 0 and weights_digest in self._retired:
                self._free(weights_digest)

    def check_fits(self, weights_digests: Iterable[WeightsDigest]) -> None:
        """Raise CacheFull, naming both numbers, where these adapters together can never be on the device at once."""
        with self._lock:
            self._device.check_fits({digest: self._resident(digest).weights for digest in weights_digests})

    def acquire_slots(self, weights_digests: Iterable[WeightsDigest]) -> bool:
        """Put all these on the device and hold them there; False, holding none, if there is no room now.

        Raises CacheFull where they can never fit, AdapterNotFound where one is not in host memory (pin it first).
        """
        with self._lock:
            adapters = {digest: self._resident(digest).weights for digest in weights_digests}
            if not self._device.acquire(adapters):
                return False
            for digest in adapters:
                self._host.pin(digest)
            return True

    def release_slots(self, weights_digests: Iterable[WeightsDigest]) -> None:
        """Undo one `acquire_slots`; the adapters stay on the device until the room is needed."""
        with self._lock:
            released = set(weights_digests)
            self._device.release(released)
            for digest in released:
                self.unpin(digest)

    def layers_of(self, weights_digest: WeightsDigest) -> tuple[int, ...]:
        """Layers that an adapter in host memory has weights for. Raises AdapterNotFound."""
        with self._lock:
            return self._resident(weights_digest).weights.layers

    def invocation_of(self, weights_digest: WeightsDigest) -> tuple[int, ...] | None:
        """Invocation tokens of an activated LoRA in host memory; None for an ordinary one. Raises AdapterNotFound."""
        with self._lock:
            return self._resident(weights_digest).weights.invocation_tokens

    def prefetch(self, name: str) -> Future[Adapter]:
        """Load a named adapter into host memory in the background; the future has it, or the error."""
        return self._preloader.submit(name)

    def preload_adapters(self, names: Iterable[str]) -> list[Adapter]:
        """Load these into host memory, and onto the device as far as there is room. Raises as `load`."""
        adapters = [self.load(name) for name in names]
        for adapter in adapters:
            self._warm(adapter)
        return adapters

    def cleanup_unused_adapters(self) -> list[str]:
        """Free every adapter that is not in use, on the device and in host memory; returns their identities."""
        with self._lock:
            unused = [digest for digest in self._host if not self._host.pins_of(digest)]
            identities = [self._resident(digest).identity for digest in unused]
            for digest in unused:
                self._free(digest)
        return identities

    def unload(self, name: str) -> bool:
        """Forget a name at once; True if its memory is free now, False if a running request still uses it.

        Memory in use is freed with its last pin; memory that another name shares stays. Raises AdapterNotFound.
        """
        with self._lock:
            key, known = self._names.require(name)
            self._names.remove(key)
            return self._let_go(known.weights_digest)

    def residency(self, name: str) -> Residency:
        """The residency of a named adapter's weights now."""
        with self._lock:
            known = self._names.find(name)
            if known is not None:
                digest = known[1].weights_digest
                return "device" if digest in self._device else "host" if digest in self._host else "disk"
        try:
            self._manager.get_adapter_metadata(name)
        except AdapterNotFound:
            return ABSENT
        return "disk"

    def is_loaded(self, name: str) -> bool:
        """Whether ``name``, or the adapter whose ``name@version`` it is, was loaded and not unloaded."""
        with self._lock:
            return self._names.find(name) is not None

    def loaded_names(self) -> dict[str, WeightsDigest]:
        """Every name that was loaded and not unloaded -> weights digest."""
        with self._lock:
            return self._names.weights_digests()

    def get_memory_usage(self) -> dict[str, Any]:
        """Bytes used, pinned and allowed on host and device, and every resident adapter with its place and pins."""
        with self._lock:
            return {
                "host": self._host.usage,
                "device": self._device.usage,
                "adapters": {
                    digest: {
                        "identity": self._resident(digest).identity,
                        "residency": "device" if digest in self._device else "host",
                        "host_bytes": self._host.nbytes_of(digest),
                        "device_bytes": self._device.nbytes_of(digest),
                        "pins": self._host.pins_of(digest),
                    }
                    for digest in self._host
                },
            }

    def residency_counts(self) -> dict[WeightsDigest, Counts]:
        """Hits, loads and evictions so far, by weights digest."""
        with self._lock:
            return self._counts.by_digest()

    def close(self) -> None:
        """Stop background loading. Adapters stay where they are."""
        self._preloader.close()

    def _pin_resident(self, weights_digest: WeightsDigest) -> bool:
        if not self._names.names_of(weights_digest) or weights_digest not in self._host:
            return False
        self._host.pin(weights_digest)
        return True

    def _load_named(self, name: str) -> Adapter:
        """The adapter from memory, else from the source it was loaded from before, else from the catalogue.

        Tried again where the name was unloaded or given to other weights meanwhile, and where ``name@version`` was
        loaded as the newest of its name and a newer version has come.
        """
        while True:
            with self._lock:
                key, known = self._names.find(name) or (name, None)
            adapter = self._read_named(key, known)
            with self._lock:
                current = self._names.get(key)
            if current is not None and current.means(adapter) and name in (key, current.identity):
                return adapter

    def _read_named(self, key: str, known: Registration | None) -> Adapter:
        """The adapter that ``key`` means: from memory, from ``known``'s source, or (if None) from the catalogue."""
        source = key if known is None else known.source

        def resident() -> Adapter | None:
            entry = self._names.get(key)
            return None if entry is None else self._host.get(entry.weights_digest)

        return self._read(source, lambda adapter: self._reregister(key, known, source, adapter), resident)

    def _read(
        self,
        source: str | Path,
        keep: Callable[[Adapter], None],
        resident: Callable[[], Adapter | None] = lambda: None,
    ) -> Adapter:
        """Read and verify, then ``keep`` it under the lock. Concurrent loads of one source share the read."""
        with self._lock:
            found = resident()
            if found is not None:
                return found
            flight = self._flights.get(str(source))
            if flight is None:
                mine = self._flights[str(source)] = Future()
        if flight is not None:
            adapter = flight.result()
            with self._lock:
                keep(adapter)
            return adapter
        try:
            adapter = self._manager.load_adapter(source)
        except BaseException as error:
            self._land(source, mine)
            mine.set_exception(error)
            raise
        try:
            with self._lock:
                keep(adapter)
        finally:
            self._land(source, mine)
            mine.set_result(adapter)
        return adapter

    def _land(self, source: str | Path, flight: Future[Adapter]) -> None:
        with self._lock:
            if self._flights.get(str(source)) is flight:
                del self._flights[str(source)]

    def _register(self, name: str, source: str | Path, adapter: Adapter) -> None:
        """Register a load by path or alias; a name in use for other weights keeps its meaning."""
        self._names.check_free(name, adapter)
        self._keep(adapter)
        self._names.set(name, source, adapter)

    def _reregister(self, name: str, known: Registration | None, source: str | Path, adapter: Adapter) -> None:
        """Register a load by name; after an eviction the files may be newer, and the name then means the new weights.

        Does nothing where the name no longer means the same as when the read began (``known``).
        """
        if self._names.get(name) != known:
            return
        self._keep(adapter)
        self._names.set(name, source, adapter)
        if known is not None and not known.means(adapter):
            self._let_go(known.weights_digest)

    def _keep(self, adapter: Adapter) -> None:
        """Put into host memory; adapters that this evicts leave the device as well."""
        is_new = adapter.weights_digest not in self._host
        evicted = self._host.put(adapter.weights_digest, adapter, adapter.weights.nbytes)
        self._counts.count("load", "host", [adapter.weights_digest] if is_new else [])
        self._counts.count("eviction", "host", evicted)
        self._counts.count("eviction", "device", [digest for digest in evicted if digest in self._device])
        for digest in evicted:
            self._device.evict(digest)
        self._retired.discard(adapter.weights_digest)

    def _load_if_free(self, name: str) -> None:
        """Load ahead on a guess: kept only if that evicts nothing."""
        with self._lock:
            key, known = self._names.find(name) or (name, None)
            if known is not None and known.weights_digest in self._host:
                return
        source = key if known is None else known.source

        def keep(adapter: Adapter) -> None:
            usage = self._host.usage
            if usage["used_bytes"] + adapter.weights.nbytes <= usage["budget_bytes"]:
                self._reregister(key, known, source, adapter)

        self._read(source, keep)

    def _warm(self, adapter: Adapter) -> bool:
        """Put onto the device without pinning it there; False if there is no room."""
        with self._lock:
            self._keep(adapter)
            if placed := self.acquire_slots([adapter.weights_digest]):
                self.release_slots([adapter.weights_digest])
            return placed

    def _resident(self, weights_digest: WeightsDigest) -> Adapter:
        adapter = self._host.get(weights_digest)
        if adapter is None:
            raise AdapterNotFound(f"adapter with weights {weights_digest[:12]}… is not in host memory; pin it first")
        return adapter

    def _let_go(self, weights_digest: WeightsDigest) -> bool:
        """Free weights that a name has left; False if another name or a running request still uses them."""
        if weights_digest not in self._host or self._names.has(weights_digest):
            return True
        if self._host.pins_of(weights_digest):
            self._retired.add(weights_digest)
            return False
        self._free(weights_digest)
        return True

    def _free(self, weights_digest: WeightsDigest) -> None:
        self._retired.discard(weights_digest)
        self._device.evict(weights_digest)
        self._host.remove(weights_digest)
        if not self._names.has(weights_digest):
            self._counts.forget_adapter(weights_digest)
