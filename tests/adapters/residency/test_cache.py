"""The cache of a byte budget: never over it, and never at a pin's expense."""

from __future__ import annotations

import random

from adaptrix_core.adapters.residency.byte_lru import ByteLRU
from adaptrix_core.errors import CacheFull


def test_the_cache_never_exceeds_its_budget_nor_evicts_a_pin():
    choose = random.Random(0)
    cache: ByteLRU[int] = ByteLRU("test", 100)
    pins: dict[str, int] = {}
    for step in range(5000):
        key = str(choose.randrange(30))
        action = choose.choice(["put", "put", "get", "pin", "unpin"])
        if action == "put":
            pinned = {k for k, count in pins.items() if count}
            try:
                evicted = cache.put(key, step, choose.randint(1, 40))
            except CacheFull:
                assert cache.pinned_bytes > 60
            else:
                assert not pinned & set(evicted)
        elif key in cache and action == "get":
            cache.get(key)
            assert list(cache)[-1] == key
        elif key in cache and action == "pin":
            cache.pin(key)
            pins[key] = pins.get(key, 0) + 1
        elif action == "unpin" and pins.get(key):
            assert cache.unpin(key) == pins[key] - 1
            pins[key] -= 1
        assert cache.used_bytes <= 100
        assert all(k in cache for k, count in pins.items() if count)
