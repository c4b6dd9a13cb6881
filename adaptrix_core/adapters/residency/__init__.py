"""Residency: which adapters are in host memory and on the device, and the one owner of that.

Files:

byte_lru       A least-recently-used cache counted in bytes, whose entries can be pinned
counts         Counts of hits, loads and evictions, by tier
device_slots   The adapters on the device: counted in bytes, pinned while in use, evicted least recently used first
               (LRU)
held           Holds adapters on the device for a piece of work that is not a request
loader         The one owner of residency: which adapters are in host memory, and which on the device
preload        Loads adapters in the background: on request, and those that usage says are likely next
registrations  The names under which adapters can be asked for, and which weights each one means
tiers          Residency: where an adapter's weights are
"""
