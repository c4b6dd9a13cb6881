"""The adapters on the device: counted in bytes, pinned while in use, evicted least recently used first (LRU).

Knows weights and the injector, not names, files or host memory. Not thread-safe: `DynamicLoader` holds the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psutil
import torch

from adaptrix_core.adapters.residency.byte_lru import ByteLRU
from adaptrix_core.adapters.residency.counts import ResidencyCounts
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import CacheFull
from adaptrix_core.injection.injector import Injector
from adaptrix_core.injection.lora import LoraWeights

DEVICE_SHARE = 0.10
"""Default budget for adapters, as a share of device memory."""
MIN_ADAPTERS = 3
"""Adapters, as large as the largest one, that fit whatever that share is."""


class DeviceSlots:
    """The device's residents, by weights digest."""

    def __init__(
        self,
        injector: Injector,
        device: torch.device,
        budget_bytes: int | None,
        counts: ResidencyCounts,
    ) -> None:
        self._injector = injector
        self._counts = counts
        self._has_default_budget = budget_bytes is None
        self._residents: ByteLRU[WeightsDigest, None] = ByteLRU(
            "device memory for adapters",
            int(device_memory(device) * DEVICE_SHARE) if budget_bytes is None else budget_bytes,
        )

    def __contains__(self, weights_digest: object) -> bool:
        return weights_digest in self._residents

    @property
    def usage(self) -> dict[str, int]:
        """Bytes used, pinned and allowed."""
        return self._residents.usage

    def nbytes_of(self, weights_digest: WeightsDigest) -> int:
        """Bytes that a resident takes; 0 if it is not on the device."""
        return self._residents.nbytes_of(weights_digest) if weights_digest in self._residents else 0

    def check_fits(self, adapters: Mapping[WeightsDigest, LoraWeights]) -> None:
        """Raise CacheFull, naming both numbers, where these can never be on the device together."""
        sizes = [self._injector.device_bytes(weights) for weights in adapters.values()]
        if self._has_default_budget and sizes:
            self._residents.budget_bytes = max(self._residents.budget_bytes, MIN_ADAPTERS * max(sizes))
        if sum(sizes) > self._residents.budget_bytes:
            raise CacheFull(
                f"the {len(sizes)} adapters of this mix take {sum(sizes)} bytes on the device, the budget is "
                f"{self._residents.budget_bytes}; mix fewer adapters or raise the device budget"
            )

    def acquire(self, adapters: Mapping[WeightsDigest, LoraWeights]) -> bool:
        """Put all of them on the device and pin them; False, pinning none, if other pinned ones leave too little room.

        Raises CacheFull where they can never fit. Other residents may have been evicted either way.
        """
        self.check_fits(adapters)
        pinned = [digest for digest in adapters if digest in self._residents]
        for digest in pinned:
            self._residents.get(digest)
            self._residents.pin(digest)  # first, so that making room for the others spares these
        missing = {digest: weights for digest, weights in adapters.items() if digest not in self._residents}
        placed = False
        try:
            placed = self._residents.fits(sum(map(self._injector.device_bytes, missing.values()))) and self._place(
                missing
            )
        finally:
            if not placed:
                for digest in pinned:
                    self._residents.unpin(digest)
        if placed:
            self._counts.count("hit", "device", pinned)
            self._counts.count("hit", "host", missing)
            self._counts.count("load", "device", missing)
        return placed

    def release(self, weights_digests: Iterable[WeightsDigest]) -> None:
        """Undo one `acquire`; the adapters stay until the room is needed."""
        for digest in weights_digests:
            self._residents.unpin(digest)

    def evict(self, weights_digest: WeightsDigest) -> None:
        """Take one off the device if it is there. ValueError if it is pinned."""
        if weights_digest in self._residents:
            self._residents.remove(weights_digest)
            self._injector.remove_adapter(weights_digest)

    def _place(self, missing: Mapping[WeightsDigest, LoraWeights]) -> bool:
        placed: list[WeightsDigest] = []
        try:
            for digest, weights in missing.items():
                self._remove(self._residents.put(digest, None, self._injector.device_bytes(weights)))
                self._residents.pin(digest)
                placed.append(digest)
                if not self._inject(weights):
                    self._take_back(placed)
                    return False
        except Exception:
            self._take_back(placed)
            raise
        return True

    def _inject(self, weights: LoraWeights) -> bool:
        """Copy to the device, evicting where it has less memory than the budget says; False if all are pinned."""
        while True:
            try:
                self._injector.inject_adapter(weights)
            except torch.OutOfMemoryError as error:
                oldest = next((d for d in self._residents if not self._residents.pins_of(d)), None)
                if oldest is not None:
                    self.evict(oldest)
                    self._counts.count("eviction", "device", [oldest])
                elif len(self._residents) > 1:
                    return False
                else:
                    raise CacheFull(
                        f"the device is out of memory: no room for the {self._injector.device_bytes(weights)} bytes of "
                        "an adapter although no other is there; lower the device memory that the KV cache takes"
                    ) from error
            else:
                return True

    def _take_back(self, placed: Iterable[WeightsDigest]) -> None:
        for digest in placed:
            self._residents.unpin(digest)
            self._residents.remove(digest)
            if digest in self._injector.get_active_adapters():
                self._injector.remove_adapter(digest)

    def _remove(self, evicted: Iterable[WeightsDigest]) -> None:
        for digest in evicted:
            self._injector.remove_adapter(digest)
            self._counts.count("eviction", "device", [digest])


def device_memory(device: torch.device) -> int:
    """Total bytes of the device that the model is on; for the CPU, of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return int(psutil.virtual_memory().total)
