"""Residency: where an adapter's weights are."""

from __future__ import annotations

from typing import Literal

Tier = Literal["device", "host", "disk"]
"""Where the weights of an adapter are that can be used: on the device (and in host memory), in host memory only, or on
disk only."""
Residency = Literal["device", "host", "disk", "absent"]
"""The same, or absent: it is not there at all."""
ABSENT: Residency = "absent"
IN_MEMORY: frozenset[Residency] = frozenset({"device", "host"})
"""From where an adapter is used without reading the disk."""
