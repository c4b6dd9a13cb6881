"""The catalogue of adapters, in all processes but the store: immutable, versioned, and seen by each tenant in a view.

Knows names, versions and tenants. Does not know files, replicas, or whether an adapter passes verification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from adaptrix_core.adapters.reference import AdapterReference, version_key
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdapterUnavailable
from adaptrix_core.suggestions import did_you_mean
from deployments.shared.entry import Entry

MAX_SHOWN = 80


@dataclass(frozen=True)
class View:
    """The entries that somebody sees, each under the one name that it has there."""

    entries: tuple[Entry, ...] = ()
    unloaded: tuple[str, ...] = ()
    """As in `Catalogue`."""

    def listed(self) -> Iterator[Entry]:
        """Entries that are not staged, withheld ones included."""
        return (entry for entry in self.entries if not entry.staged)

    def servable(self) -> Iterator[Entry]:
        """Entries that requests may name."""
        return (entry for entry in self.listed() if entry.withheld is None)

    def newest(self) -> list[Entry]:
        """The entry that each bare name means, by name: the newest good version, or the newest where none is good."""
        best: dict[str, Entry] = {}
        for entry in self.servable():
            held = best.get(entry.name_here)
            if held is None or _preference(entry) > _preference(held):
                best[entry.name_here] = entry
        return [best[name] for name in sorted(best)]

    def find(self, wanted: str) -> Entry | None:
        """The entry called ``name`` or ``name@latest`` (what the bare name means) or ``name@version``, or None."""
        return max((entry for entry in self.called(wanted) if entry.withheld is None), key=_preference, default=None)

    def called(self, wanted: str) -> list[Entry]:
        """All entries called ``name`` (or ``name@latest``) or ``name@version``, withheld ones included."""
        reference = AdapterReference.split(wanted)
        return [entry for entry in self.listed() if entry.is_called(reference)]

    def not_found(
        self, wanted: str, others: tuple[str, ...] = (), param: str | None = "model"
    ) -> AdapterNotFound | AdapterRejected | AdapterUnavailable:
        """The error for a name that `find` does not find: why it is withheld; else the nearest names, or all names."""
        withheld = max(self.called(wanted), key=_preference, default=None)
        if withheld is not None and withheld.withheld is not None:
            if not withheld.withheld.is_final:
                return AdapterUnavailable(withheld.withheld.message, code=withheld.withheld.code, param=param)
            return AdapterRejected(withheld.withheld.message, code=withheld.withheld.code, param=param)
        if wanted in self.unloaded:
            return AdapterNotFound(
                f"the adapter {wanted!r} was unloaded; it is shipped, so `adaptrix load {wanted}` (POST "
                f"/v1/load_lora_adapter with lora_path {wanted!r}) brings it back",
                code="model_not_found",
                param=param,
            )
        names = [entry.public_name for entry in self.newest()]
        known = [*others, *([e.identity for e in self.servable()] if "@" in wanted else names)]
        return AdapterNotFound(
            f"the model {shortened(wanted)!r} does not exist; {did_you_mean(wanted, known)} (GET /v1/models lists all)",
            code="model_not_found",
            param=param,
        )


@dataclass(frozen=True)
class Catalogue:
    """All entries at one moment. ``version`` changes with every change; versions are equal or not, never ordered.

    Whoever looks for names does so in a view of it: what is not in a view is, to its owner, not there.
    """

    version: str
    entries: tuple[Entry, ...] = ()
    unloaded: tuple[str, ...] = ()
    """Names of shipped adapters that were unloaded: their files still exist, and loading the name restores them."""

    def seen_by(self, tenant: str) -> View:
        """What a tenant sees: its own, those that others share with it as ``~tenant/name``, and the public ones.

        Where a public one has come to have the name of one of its own, the name goes on to mean its own.
        """
        return self._view(tenant, everything=False) if tenant in self.tenants else self.public

    def overseen_by(self, tenant: str) -> View:
        """What somebody of a tenant sees who may see everything: those of all other tenants as ``~tenant/name``."""
        return self._view(tenant, everything=True)

    @cached_property
    def public(self) -> View:
        """What a tenant sees that has no adapters of its own, and is shared none."""
        return View(tuple(entry for entry in self.entries if not entry.tenant), self.unloaded)

    @cached_property
    def whole(self) -> View:
        """Every entry under its full name, for metrics and for replicas, which serve all tenants."""
        return self._view("", everything=True)

    @cached_property
    def tenants(self) -> frozenset[str]:
        """Tenants that see other adapters than the public ones."""
        named = ((entry.tenant, *entry.shared_with) for entry in self.entries if entry.tenant)
        return frozenset(tenant for tenants in named for tenant in tenants)

    def _view(self, tenant: str, everything: bool) -> View:
        own = {entry.name for entry in self.entries if tenant and entry.tenant == tenant and not entry.staged}
        seen = []
        for entry in self.entries:
            if entry.tenant == tenant or (not entry.tenant and entry.name not in own):
                seen.append(entry)
            elif entry.tenant and everything:
                seen.append(replace(entry, seen_as=entry.full_name))
            elif entry.tenant and entry.is_seen_by(tenant):  # whom else it is shared with is not told
                seen.append(replace(entry, seen_as=entry.full_name, shared_with=(tenant,)))
        return View(tuple(seen), self.unloaded)


def _preference(entry: Entry) -> tuple[bool, tuple[int, ...]]:
    return not entry.is_refused, version_key(entry.version)


def shortened(name: str) -> str:
    """A name from a caller, shortened for messages."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
