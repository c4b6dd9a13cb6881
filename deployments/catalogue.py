"""The catalogue of adapters, as everybody but the store sees it: immutable, versioned, searchable by name.

Knows names and versions. Does not know files, replicas or whether an adapter is any good.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from adaptrix_core.errors import AdapterNotFound
from deployments.wire import Entry

MAX_SHOWN = 80
LATEST = "latest"


@dataclass(frozen=True)
class Catalogue:
    """All entries at one moment. ``version`` changes with every change; versions are equal or not, never ordered."""

    version: str
    entries: tuple[Entry, ...] = ()

    def servable(self) -> Iterator[Entry]:
        """Entries that may be asked for by name."""
        return (entry for entry in self.entries if not entry.staged)

    def newest(self) -> list[Entry]:
        """The newest version of each name, by name."""
        best: dict[str, Entry] = {}
        for entry in self.servable():
            held = best.get(entry.name)
            if held is None or version_key(entry.version) > version_key(held.version):
                best[entry.name] = entry
        return [best[name] for name in sorted(best)]

    def find(self, wanted: str) -> Entry | None:
        """The entry called ``name`` or ``name@latest`` (its newest version) or ``name@version``, or None."""
        name, _, version = wanted.removesuffix(f"@{LATEST}").partition("@")
        matches = [e for e in self.servable() if e.name == name and (not version or e.version == version)]
        return max(matches, key=lambda entry: version_key(entry.version), default=None)

    def by_package(self, package: str) -> Entry | None:
        """The entry of this package digest, staged ones included, or None."""
        return next((entry for entry in self.entries if entry.package == package), None)

    def not_found(self, wanted: str, others: tuple[str, ...] = (), param: str | None = "model") -> AdapterNotFound:
        """The error for an unknown name; lists the nearest names, or all if none is near."""
        names = [entry.name for entry in self.newest()]
        known = [*others, *([e.identity for e in self.servable()] if "@" in wanted else names)]
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known) or 'none'}"
        return AdapterNotFound(
            f"the model {shortened(wanted)!r} does not exist; {hint} (GET /v1/models lists all)",
            code="model_not_found",
            param=param,
        )


def shortened(name: str) -> str:
    """A name that a caller made up, short enough to be shown again."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"


def version_key(version: str) -> tuple[int, ...]:
    """Sort key of ``1``, ``1.2`` or ``1.2.3``; missing parts count as 0."""
    parts = [int(part) for part in version.split(".")]
    return (*parts, *[0] * (3 - len(parts)))
