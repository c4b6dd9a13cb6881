"""Who is where: adapters in host memory and in device slots, on demand, within budgets of bytes.

`DynamicLoader` is the only owner of residency. `load` and everything about host memory may be called from any thread;
device slots (`acquire_slots`, `release_slots`, `unload`, `cleanup_unused_adapters`, `switch_adapter`) from the engine's
thread only, since they write to the model's banks. An adapter is read and verified before anything is evicted for it, so a
failed load changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

from adaptrix_core.adapters.cache import ByteLRU
from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package import Adapter
from adaptrix_core.errors import AdaptrixError, AdapterNotFound, CacheFull
from adaptrix_core.injection.injector import LayerInjector

log = logging.getLogger(__name__)

Residency = Literal["device", "host", "disk", "absent"]

DEFAULT_HOST_BYTES = 2 << 30
DEVICE_SHARE = 0.10
"""Share of device memory that adapters may take."""
MIN_DEVICE_ADAPTERS = 3


@dataclass(frozen=True)
class TierUsage:
    """One tier's memory."""

    used_bytes: int
    pinned_bytes: int
    budget_bytes: int
    adapters: tuple[str, ...]
    """Weights digests, least recently used first."""


class DynamicLoader:
    """Loads adapters through a manager into host memory, and into an injector's device slots."""

    def __init__(
        self,
        manager: AdapterManager,
        injector: LayerInjector,
        host_budget_bytes: int = DEFAULT_HOST_BYTES,
        device_budget_bytes: int | None = None,
    ) -> None:
        """device_budget_bytes: None takes DEVICE_SHARE of the device's memory. Three adapters always fit."""
        self._manager = manager
        self._injector = injector
        self._host: ByteLRU[Adapter] = ByteLRU(host_budget_bytes)
        self._device: ByteLRU[None] = ByteLRU(0)
        self._device_budget_bytes = _device_share() if device_budget_bytes is None else device_budget_bytes
        self._largest_adapter_bytes = 0
        self._digests: dict[str, str] = {}
        self._sources: dict[str, str | Path] = {}
        self._loading: dict[str, Future[Adapter]] = {}
        self._retired: set[str] = set()
        self._usage: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="adaptrix-prefetch")

    def load(self, source: str | Path, alias: str | None = None) -> Adapter:
        """The adapter in host memory; read and verified if it is not there yet. Concurrent calls share one load.

        source: a catalogue name, ``name@version``, or a directory; ``alias`` is the name it is then known by.
        Raises AdapterNotFound, AdapterRejected or CacheFull.
        """
        key = alias or str(source)
        with self._lock:
            self._usage[key] += 1
            resident = self._resident(key)
            if resident is not None:
                return resident
            pending = self._loading.get(key)
            if pending is None:
                mine: Future[Adapter] = Future()
                self._loading[key] = mine
        if pending is not None:
            return pending.result()
        try:
            adapter = self._manager.load_adapter(self._sources.get(key, source))
            self._admit(key, source, adapter)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(adapter)
            return adapter
        finally:
            with self._lock:
                del self._loading[key]

    def pin(self, digest: str) -> None:
        """Keep an adapter in host memory until `unpin`. Raises AdapterNotFound if it is not there."""
        with self._lock:
            if digest not in self._host or digest in self._retired:
                raise AdapterNotFound(f"the adapter with digest {digest[:12]}… is no longer loaded; load it again")
            self._host.pin(digest)

    def unpin(self, digest: str) -> None:
        """Undo one `pin`; frees an adapter that was unloaded meanwhile, when the last one goes."""
        with self._lock:
            self._host.unpin(digest)
            if digest in self._retired and not self._host.is_pinned(digest):
                self._drop(digest)

    def check_fits(self, digests: Iterable[str]) -> None:
        """Raise CacheFull, naming both numbers, for a mix that could never be on the device at once."""
        wanted = set(digests)
        with self._lock:
            needed = sum(self._device_bytes(digest) for digest in wanted)
        if needed > self.device_budget_bytes:
            raise CacheFull(
                f"the mix's {len(wanted)} adapters take {needed} bytes on the device, the budget is "
                f"{self.device_budget_bytes}; use fewer adapters or raise device_budget_bytes"
            )

    def acquire_slots(self, digests: Iterable[str]) -> bool:
        """Make adapters resident on the device and keep them so; False, holding nothing, if there is no room now."""
        wanted = sorted(set(digests))
        with self._lock:
            held: list[str] = []
            for digest in wanted:
                if not self._make_resident(digest):
                    self.release_slots(held)
                    return False
                self._device.pin(digest)
                held.append(digest)
        return True

    def release_slots(self, digests: Iterable[str]) -> None:
        """Undo one `acquire_slots`; the adapters stay until their room is needed."""
        with self._lock:
            for digest in set(digests):
                self._device.unpin(digest)

    def unload(self, name: str) -> None:
        """Forget a name: refused to new requests at once, freed when no running request uses it.

        Raises AdapterNotFound for a name that is not loaded.
        """
        with self._lock:
            if name not in self._digests:
                raise AdapterNotFound(f"no adapter {name!r} is loaded; loaded: {', '.join(sorted(self._digests)) or 'none'}")
            digest = self._digests.pop(name)
            self._sources.pop(name, None)
            self._usage.pop(name, None)
            if digest in self._digests.values() or digest not in self._host:
                return
            if self._host.is_pinned(digest):
                self._retired.add(digest)
            else:
                self._drop(digest)

    def switch_adapter(self, old: str, new: str) -> Adapter:
        """Make ``new`` resident on the device, then forget ``old``. A failure leaves both as they were."""
        adapter = self.load(new)
        with self._lock:
            if not self.acquire_slots([adapter.digest]):
                raise CacheFull(f"no room for {new!r} on the device: running requests hold {self._device.pinned_bytes} bytes")
            self.unload(old)
            self.release_slots([adapter.digest])
        return adapter

    def preload_adapters(self, names: Sequence[str]) -> list[Adapter]:
        """Load several adapters into host memory now; raises at the first that fails, keeping those before it."""
        return [self.load(name) for name in names]

    def prefetch(self, names: Sequence[str]) -> list[Future[Adapter]]:
        """Load adapters into host memory in the background; failures are logged, and raised by the futures."""
        return [self._background.submit(self._prefetch_one, name) for name in names]

    def prefetch_likely(self, count: int = 4) -> list[Future[Adapter]]:
        """Prefetch the most used names that are not in host memory, as long as nothing has to be evicted for them."""
        with self._lock:
            free = self._host.budget_bytes - self._host.used_bytes
            room = free // max(1, self._largest_adapter_bytes)
            absent = [name for name, _ in self._usage.most_common() if self._resident(name) is None]
        return self.prefetch(absent[: min(count, room)])

    def cleanup_unused_adapters(self, idle_s: float = 0.0) -> list[str]:
        """Free adapters that nobody uses and nobody has used for ``idle_s`` seconds; returns their digests.

        Their names stay known: the next request loads them again.
        """
        with self._lock:
            idle = [d for d in self._host.unpinned() if self._host.idle_s(d) >= idle_s]
            for digest in idle:
                self._drop(digest)
        return idle

    def get_memory_usage(self) -> dict[str, Any]:
        """Bytes and adapters by tier, and what is loaded under which name."""
        with self._lock:
            device = TierUsage(
                self._device.used_bytes, self._device.pinned_bytes, self.device_budget_bytes, tuple(self._device.keys)
            )
            host = TierUsage(
                self._host.used_bytes, self._host.pinned_bytes, self._host.budget_bytes, tuple(self._host.keys)
            )
            return {"device": asdict(device), "host": asdict(host), "names": dict(self._digests)}

    def residency(self, name: str) -> Residency:
        """Where the weights of ``name`` are."""
        with self._lock:
            digest = self._digests.get(name)
            if digest is not None and digest in self._device:
                return "device"
            if digest is not None and digest in self._host:
                return "host"
        try:
            self._manager.get_adapter_metadata(name)
        except AdaptrixError:
            return "disk" if name in self._sources else "absent"
        return "disk"

    @property
    def device_budget_bytes(self) -> int:
        """Bytes that adapters may take on the device; never less than MIN_DEVICE_ADAPTERS of the largest one."""
        return max(self._device_budget_bytes, MIN_DEVICE_ADAPTERS * self._largest_adapter_bytes)

    def _resident(self, key: str) -> Adapter | None:
        digest = self._digests.get(key)
        return None if digest is None else self._host.get(digest)

    def _admit(self, key: str, source: str | Path, adapter: Adapter) -> None:
        """Enter a verified adapter into host memory under ``key``."""
        with self._lock:
            for evicted in self._host.put(adapter.digest, adapter, adapter.weights.nbytes):
                self._drop_from_device(evicted)
            self._retired.discard(adapter.digest)
            self._digests[key] = adapter.digest
            self._sources[key] = source
            self._largest_adapter_bytes = max(self._largest_adapter_bytes, self._device_bytes(adapter.digest))

    def _make_resident(self, digest: str) -> bool:
        adapter = self._host.get(digest)
        assert adapter is not None, "slots are acquired for pinned adapters only"
        nbytes = self._device_bytes(digest)
        self._device.budget_bytes = self.device_budget_bytes
        if self._device.get(digest) is None and digest not in self._device:
            if not self._device.can_fit(nbytes):
                return False
            for evicted in self._device.put(digest, None, nbytes):
                self._injector.remove_adapter(evicted)
            try:
                self._inject(adapter)
            except BaseException:
                self._device.remove(digest)
                raise
        return True

    def _inject(self, adapter: Adapter) -> None:
        """Write the device slots; when the device is out of memory, the least recently used free adapter goes first."""
        while True:
            try:
                return self._injector.inject_adapter(adapter.weights)
            except torch.OutOfMemoryError:
                free = [digest for digest in self._device.unpinned() if digest != adapter.digest]
                if not free:
                    raise
                log.warning("device out of memory: evicting adapter %s", free[0][:12])
                self._drop_from_device(free[0])

    def _device_bytes(self, digest: str) -> int:
        adapter = self._host.get(digest)
        if adapter is None:
            raise AdapterNotFound(f"the adapter with digest {digest[:12]}… is no longer loaded; load it again")
        return self._injector.device_bytes(adapter.weights)

    def _drop(self, digest: str) -> None:
        self._host.remove(digest)
        self._retired.discard(digest)
        self._drop_from_device(digest)

    def _drop_from_device(self, digest: str) -> None:
        if digest in self._device:
            self._device.remove(digest)
            self._injector.remove_adapter(digest)

    def _prefetch_one(self, name: str) -> Adapter:
        try:
            return self.load(name)
        except AdaptrixError as error:
            log.warning("prefetch of adapter %r failed: %s", name, error.message)
            raise


def _device_share() -> int:
    total = torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else psutil.virtual_memory().total
    return int(total * DEVICE_SHARE)
