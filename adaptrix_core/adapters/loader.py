"""Which adapters are in host memory and on the device: the one owner of residency.

An adapter is loaded and verified first; only then is room made for it, so a failed load changes nothing. What runs is
pinned and stays. Every adapter on the device is in host memory too, so a device slot can be refilled without the disk.

Any thread may call any method. Reading and verifying happen outside the lock, once per adapter however many callers
want it. The injector is written under the lock; a digest that a running step uses is pinned, hence never removed under
it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adaptrix_core.adapters.cache import ByteLRU
from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package import Adapter
from adaptrix_core.adapters.preload import Preloader
from adaptrix_core.errors import AdapterNotFound, CacheFull
from adaptrix_core.injection.injector import LayerInjector

log = logging.getLogger(__name__)

Residency = Literal["device", "host", "disk", "absent"]

DEVICE_SHARE = 0.10
"""Share of device memory for adapters, unless a budget is given; at least `MIN_DEVICE_ADAPTERS` always fit."""
HOST_SHARE = 0.25
"""Share of host memory for adapters, unless a budget is given."""
MIN_DEVICE_ADAPTERS = 3


@dataclass(frozen=True)
class _Registration:
    """A name under which an adapter can be asked for, and where to read it again once it is evicted."""

    source: str | Path
    digest: str
    identity: str


class DynamicLoader:
    """Loads adapters when they are asked for, keeps the recently used ones, and makes room by evicting the others."""

    def __init__(
        self,
        manager: AdapterManager,
        injector: LayerInjector,
        *,
        host_budget_bytes: int | None = None,
        device_budget_bytes: int | None = None,
        preload: bool = True,
    ) -> None:
        """preload: load the adapters that are likely next in the background, into free memory only."""
        self._manager = manager
        self._injector = injector
        self._lock = threading.RLock()
        self._host: ByteLRU[Adapter] = ByteLRU(
            "host memory for adapters", _budget(host_budget_bytes, _host_memory(), HOST_SHARE, "host")
        )
        device = manager.require_base().device
        self._device: ByteLRU[None] = ByteLRU(
            "device memory for adapters", _budget(device_budget_bytes, _device_memory(device), DEVICE_SHARE, "device")
        )
        self._device_budget_is_default = device_budget_bytes is None
        self._names: dict[str, _Registration] = {}
        self._flights: dict[tuple[str, str], Future[Adapter]] = {}
        self._retired: set[str] = set()
        self._preloader = Preloader(self._preload_one, enabled=preload)

    def load(self, source: str | Path, alias: str | None = None) -> Adapter:
        """Make an adapter resident in host memory, verified, and usable by name; returns it.

        A name that is loaded already is answered from memory. A path is read again, and usable as ``alias``, or as the
        name in its metadata. Raises AdapterNotFound, AdapterRejected, CacheFull, or AdapterExists where the name is in
        use for other weights.
        """
        by_name = isinstance(source, str) and alias is None and "/" not in source and "\\" not in source
        if by_name:
            self._preloader.used(str(source))
            resident = self._touch(str(source))
            if resident is not None:
                return resident
            registered = self._registered(str(source))
            source = str(source) if registered is None else registered.source
        return self._load_once(source, alias)

    def pin(self, digest: str) -> None:
        """Keep an adapter in host memory until as many `unpin` calls; reads it again if it was evicted meanwhile.

        Raises AdapterNotFound where no loaded name has this digest (any more).
        """
        with self._lock:
            if digest in self._host and digest not in self._retired:
                self._host.pin(digest)
                return
            names = [name for name, entry in self._names.items() if entry.digest == digest]
        for name in names:
            adapter = self.load(name)
            with self._lock:
                if adapter.digest == digest:
                    self._drop_from_device(self._host.put(digest, adapter, adapter.weights.nbytes))
                    self._host.pin(digest)
                    return
        raise AdapterNotFound(f"no loaded adapter has weights digest {digest[:12]}…; it was unloaded or replaced")

    def unpin(self, digest: str) -> None:
        """Take back one `pin`; an adapter that was unloaded meanwhile is freed with the last one."""
        with self._lock:
            if self._host.unpin(digest) == 0 and digest in self._retired:
                self._free(digest)

    def check_fits(self, digests: Iterable[str]) -> None:
        """Raise CacheFull, naming both numbers, where these adapters together can never be on the device at once."""
        with self._lock:
            needed = sum(self._device_bytes(digest) for digest in set(digests))
            budget = self._device_budget()
        if needed > budget:
            raise CacheFull(
                f"the adapters of this request take {needed} bytes on the device, the budget is {budget}; mix fewer "
                "adapters or raise the device budget"
            )

    def acquire_slots(self, digests: Iterable[str]) -> bool:
        """Put all these (pinned) adapters on the device and keep them there; False, changing nothing, if there is no room.

        Raises CacheFull where they can never fit (`check_fits`), AdapterNotFound where one is not in host memory.
        """
        wanted = set(digests)
        with self._lock:
            self.check_fits(wanted)
            missing = [digest for digest in wanted if digest not in self._device]
            self._device.budget_bytes = self._device_budget()
            kept = [digest for digest in wanted if digest in self._device]
            for digest in kept:
                self._device.pin(digest)  # so that making room for the missing ones spares them
            placed = self._place(missing)
            if not placed:
                for digest in kept:
                    self._device.unpin(digest)
                return False
            for digest in wanted:
                self._device.get(digest)
                self._host.pin(digest)
            return True

    def release_slots(self, digests: Iterable[str]) -> None:
        """Undo one `acquire_slots`; the adapters stay on the device until the room is needed."""
        with self._lock:
            for digest in set(digests):
                self._device.unpin(digest)
                self.unpin(digest)

    def prefetch(self, name: str) -> Future[Adapter]:
        """Load a named adapter into host memory in the background; the future has it, or the error."""
        return self._preloader.submit(name)

    def preload_adapters(self, names: Iterable[str]) -> list[Adapter]:
        """Load these into host memory, and onto the device as far as there is room. Raises what `load` raises."""
        adapters = [self.load(name) for name in names]
        for adapter in adapters:
            if not self._warm(adapter):
                break
        return adapters

    def switch_adapter(self, name: str, replaces: str) -> Adapter:
        """Put ``name`` on the device, then take ``replaces`` off it unless it is in use. A failure changes nothing."""
        adapter = self.load(name)
        old = self._registered(replaces)
        if old is None:
            raise AdapterNotFound(f"adapter {replaces!r} is not loaded; there is nothing to switch from")
        if not self._warm(adapter):
            raise CacheFull(f"no room on the device for {name!r}: everything there is in use; retry later")
        with self._lock:
            if old.digest != adapter.digest and not self._device.pins_of(old.digest):
                self._drop_from_device([old.digest])
        return adapter

    def cleanup_unused_adapters(self) -> list[str]:
        """Free every adapter that nothing uses, on the device and in host memory; returns their identities."""
        with self._lock:
            unused = [digest for digest in self._host if not self._host.pins_of(digest)]
            identities = [self._identity(digest) for digest in unused]
            for digest in unused:
                self._free(digest)
        return identities

    def unload(self, name: str) -> bool:
        """Forget a name at once; True if its memory is free now, False if a running request still uses it.

        Memory in use is freed when its last pin goes; memory that another name shares stays. Raises AdapterNotFound.
        """
        with self._lock:
            key = self._key(name)
            if key is None:
                raise AdapterNotFound(
                    f"adapter {name!r} is not loaded; loaded: {', '.join(sorted(self._names)) or 'none'}"
                )
            digest = self._names.pop(key).digest
            if any(entry.digest == digest for entry in self._names.values()) or digest not in self._host:
                return True
            if self._host.pins_of(digest):
                self._retired.add(digest)
                return False
            self._free(digest)
            return True

    def residency(self, name: str) -> Residency:
        """Where a named adapter's weights are now."""
        registered = self._registered(name)
        with self._lock:
            if registered is not None:
                if registered.digest in self._device:
                    return "device"
                return "host" if registered.digest in self._host else "disk"
        try:
            self._manager.path_of(name)
        except AdapterNotFound:
            return "absent"
        return "disk"

    def loaded_names(self) -> dict[str, str]:
        """Every name that was loaded and not unloaded -> weights digest."""
        with self._lock:
            return {name: entry.digest for name, entry in self._names.items()}

    def get_memory_usage(self) -> dict[str, Any]:
        """Bytes used, pinned and allowed on host and device, and every resident adapter with its place and pins."""
        with self._lock:
            return {
                "host": _usage(self._host, self._host.budget_bytes),
                "device": _usage(self._device, self._device_budget()),
                "adapters": {
                    self._identity(digest): {
                        "digest": digest,
                        "residency": "device" if digest in self._device else "host",
                        "host_bytes": self._host.nbytes_of(digest),
                        "device_bytes": self._device.nbytes_of(digest) if digest in self._device else 0,
                        "pins": self._host.pins_of(digest),
                    }
                    for digest in self._host
                },
            }

    def close(self) -> None:
        """Stop background loading. Adapters stay where they are."""
        self._preloader.close()
