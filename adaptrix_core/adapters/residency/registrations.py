"""The names under which adapters can be asked for, and which weights each one means. No locks: `loader.py` has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.adapters.reference import without_latest
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterExists, AdapterNotFound


@dataclass(frozen=True)
class Registration:
    """The weights that a name means, and the source to read them from again after an eviction."""

    source: str | Path
    weights_digest: WeightsDigest
    identity: str

    def means(self, adapter: Adapter) -> bool:
        """Whether these are the adapter's weights."""
        return self.weights_digest == adapter.weights_digest


class Registrations:
    """Every name that was loaded and not unloaded."""

    def __init__(self) -> None:
        self._names: dict[str, Registration] = {}

    def get(self, name: str) -> Registration | None:
        """The registration under exactly this name."""
        return self._names.get(name)

    def find(self, name: str) -> tuple[str, Registration] | None:
        """The registration under ``name`` (or ``name@latest``), or the one whose ``name@version`` it is."""
        name = without_latest(name)
        if name in self._names:
            return name, self._names[name]
        return next(((key, entry) for key, entry in self._names.items() if entry.identity == name), None)

    def require(self, name: str) -> tuple[str, Registration]:
        """As `find`. Raises AdapterNotFound, listing the registered names."""
        known = self.find(name)
        if known is None:
            loaded = ", ".join(sorted(self._names)) or "none"
            raise AdapterNotFound(f"adapter {name!r} is not loaded; loaded: {loaded}")
        return known

    def names_of(self, weights_digest: WeightsDigest) -> dict[str, Registration]:
        """All names of these weights."""
        return {name: entry for name, entry in self._names.items() if entry.weights_digest == weights_digest}

    def has(self, weights_digest: WeightsDigest) -> bool:
        """Whether these weights have a name."""
        return any(entry.weights_digest == weights_digest for entry in self._names.values())

    def weights_digests(self) -> dict[str, WeightsDigest]:
        """Name to weights digest."""
        return {name: entry.weights_digest for name, entry in self._names.items()}

    def check_free(self, name: str, adapter: Adapter) -> None:
        """Raise AdapterExists where ``name`` is in use for other weights than these."""
        existing = self._names.get(name)
        if existing is not None and not existing.means(adapter):
            raise AdapterExists(
                f"name {name!r} is in use for {existing.identity} with weights {existing.weights_digest[:12]}; "
                "unload it first or choose another name"
            )

    def set(self, name: str, source: str | Path, adapter: Adapter) -> None:
        """Let ``name`` mean these weights from now on."""
        self._names[name] = Registration(source, adapter.weights_digest, adapter.identity)

    def remove(self, name: str) -> None:
        """Forget a registered name."""
        del self._names[name]
