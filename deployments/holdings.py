"""What a replica holds: packages fetched from the store, verified here, and handed to the engine's loader.

The store is not trusted. Bytes are copied into a private directory, checked there against the package digest, the
trust policy and the base model, and only then mapped. A package that was refused is not tried again until the catalogue
offers it anew; one that could not be brought is (`arrivals.py`). What is revoked is refused whatever the catalogue
says, and the requests that run on it end. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.atomic import write_directory
from adaptrix_core.adapters.loader import DynamicLoader
from adaptrix_core.adapters.revocation_lease import RevocationLease
from adaptrix_core.adapters.snapshot import Snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdapterUnavailable, AdaptrixError, CacheFull
from adaptrix_core.injection.mix import Mix, Term
from adaptrix_core.sampling import SamplingDefaults, asked_for, explained
from deployments.arrivals import TRY_LIMIT_S, Arrivals
from deployments.breaker import Breakers
from deployments.catalogue import Catalogue
from deployments.own_thread import in_own_thread
from deployments.uses import PackageUses
from deployments.wire import Entry, Holding, PackageMix, Refusal

logger = logging.getLogger(__name__)

DRAIN_POLL_S = 0.05
PATIENCE_S = 5.0
"""So long a new catalogue waits for what it lists; the rest arrives while the replica serves."""
WARM_PATIENCE_S = 15.0
"""So long a new replica waits for adapters that were used lately before it takes its first request."""
NOT_ITS_FAULT = ("wrong_package",)
"""Codes of refusals that say nothing about the package itself: other bytes came than were asked for."""

Fetch = Callable[[str], Awaitable[Mapping[str, bytes]]]
"""Package digest to its files, from the store."""

Forget = Callable[[str], Awaitable[object]]
"""Lets no request take over what was computed under these weights (a weights digest)."""


@dataclass(frozen=True)
class Pinned:
    """What one request computes under."""

    mixes: tuple[Mix, ...]
    asked: SamplingDefaults | None
    """What its adapters ask to be sampled by, as their verified metadata say."""
    ended: asyncio.Future[None]
    """Gets an AdapterRejected (adapter_revoked) where the request must not go on."""


class Holdings:
    """The packages of one replica. All methods run in the replica's event loop; slow work goes to threads."""

    def __init__(
        self,
        loader: DynamicLoader,
        private_dir: Path,
        fetch: Fetch,
        lease: RevocationLease,
        forget: Forget,
        base_sampling: SamplingDefaults,
        try_limit_s: float = TRY_LIMIT_S,
    ) -> None:
        self._loader = loader
        self._base_sampling = base_sampling
        self._dir = private_dir
        self._fetch = fetch
        self._lease = lease
        self._forget = forget
        self._uses = PackageUses()
        self._held: dict[str, Adapter] = {}
        self._refused: dict[str, tuple[str, Refusal]] = {}
        """Package digest to (revision of the entry that was refused, why)."""
        self._draining: dict[str, asyncio.Task[None]] = {}
        self._breakers = Breakers()
        self._arrivals = Arrivals(self._bring, self._breakers, try_limit_s)
        self._loading: dict[str, asyncio.Future[Adapter]] = {}
        """Loads under way, those included that their try did not wait for to the end."""
        self._wanted: dict[str, Entry] = {}
        self._listed: set[str] = set()
        """Packages of the catalogue that was last synced."""

    async def sync(self, catalogue: Catalogue) -> None:
        """Hold what the catalogue lists, and let go of the rest once no request uses it.

        Packages that are no good are noted as refused. Returns when each was tried; those that take long come later.
        """
        self._listed = {entry.package for entry in catalogue.entries}
        wanted = {entry.package: entry for entry in catalogue.entries if not self._lease.is_revoked(entry.package)}
        for package in set(self._held) - set(wanted):
            self._let_go(package)
        self._refused = {package: why for package, why in self._refused.items() if package in wanted}
        for package in set(self._arrivals.packages()) - set(wanted):
            self._arrivals.stop(package)
            self._abandon(package)
        news = [entry for entry in wanted.values() if self._is_news(entry)]
        self._wanted = wanted
        for entry in news:
            self._arrivals.start(entry)
        await self._arrivals.tried([entry.package for entry in news], PATIENCE_S)

    def let_go_revoked(self) -> None:
        """End every request that runs on a revoked package, and drop its files, weights, keys and values."""
        for package in [package for package in self._held if self._lease.is_revoked(package)]:
            self._uses.end(package, _about(_revoked(self._lease, package), package))
            self._let_go(package)

    @asynccontextmanager
    async def pinned(self, mixes: Sequence[PackageMix]) -> AsyncIterator[Pinned]:
        """The mixes to compute under, their adapters kept in host memory for as long as the context lasts.

        Raises AdapterRejected (refused here, and why), AdapterNotFound, AdapterUnavailable or CacheFull, with the
        package in ``.package``.
        """
        digests: dict[str, str] = {}
        packages = dict.fromkeys(package for mix in mixes for package, _ in mix)
        with self._uses.of(packages) as ended:
            try:
                for package in packages:
                    await self._require(package)
                    digests[package] = await self._pin(package)
                terms = tuple(tuple(Term(digests[package], weight) for package, weight in mix) for mix in mixes)
                yield Pinned(terms, asked_for(map(self._wishes, mixes)), ended)
            finally:
                for digest in digests.values():
                    self._loader.unpin(digest)

    async def warm(self, packages: Sequence[str]) -> None:
        """Bring packages to the device as far as there is room, the first of them last, so that it stays.

        Those that are on their way are waited for, for a while.
        """
        await self._arrivals.tried(packages, WARM_PATIENCE_S)
        for package in reversed([package for package in packages if package in self._held]):
            try:
                await asyncio.to_thread(self._loader.preload_adapters, [package])
            except AdaptrixError as error:
                logger.info("package %s was not brought to the device ahead: %s", package, error.message)

    def residency(self) -> dict[str, str]:
        """Where the weights of each held package are: device, host or disk."""
        return {package: self._loader.residency(package) for package in self._held}

    def report(self) -> tuple[dict[str, Holding], dict[str, Refusal]]:
        """What is held and what was refused, by package."""
        held = {
            package: Holding(
                adapter.digest,
                adapter.signer,
                self._loader.residency(package),
                adapter.warnings,
                explained(adapter.metadata.sampling, self._base_sampling),
            )
            for package, adapter in self._held.items()
        }
        refused = {package: refusal for package, (_, refusal) in self._refused.items()}
        for package in self._breakers.open_circuits():
            refused[package] = Refusal(self._breakers.cause(package), self._breakers.unavailable(package).message)
        for package in filter(self._lease.is_revoked, self._listed):
            refused[package] = Refusal("adapter_revoked", self._lease.reason(package))
        return held, refused

    def _wishes(self, mix: PackageMix) -> list[tuple[SamplingDefaults | None, float]]:
        return [(self._held[package].metadata.sampling, weight) for package, weight in mix]

    def _is_news(self, entry: Entry) -> bool:
        if entry.package in self._held and entry.package not in self._draining:
            return False
        if entry.package in self._arrivals.packages():
            return self._wanted[entry.package].revision != entry.revision
        known = self._refused.get(entry.package)
        return known is None or known[0] != entry.revision

    async def _require(self, package: str) -> None:
        try:
            await self._arrivals.landed(package)
        except AdapterUnavailable as error:
            raise _about(error, package) from None
        try:
            self._lease.check(package)
        except AdapterRejected as error:
            raise _about(error, package) from None
        if package in self._refused:
            refusal = self._refused[package][1]
            raise _about(AdapterRejected(refusal.message, code=refusal.code), package)
        if package not in self._held or package in self._draining:
            raise _about(AdapterNotFound(f"this replica does not hold package {package}; it was unloaded"), package)

    async def _pin(self, package: str) -> str:
        """Pin a held package and return its weights digest; it is read from disk again if it was evicted."""
        digest = self._held[package].digest
        if self._loader.pin_at_once(digest):
            self._breakers.forget(package)
            return digest
        pinning = asyncio.ensure_future(in_own_thread(self._loader.pin, digest))
        try:
            await asyncio.shield(pinning)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it pins must not stay pinned.
            pinning.add_done_callback(lambda done: None if done.exception() else self._loader.unpin(digest))
            raise
        except (AdapterNotFound, CacheFull) as error:
            raise _about(error, package) from error
        except (AdaptrixError, OSError) as error:  # our own copy cannot be read any more
            self._breakers.failed(package, error)
            if self._breakers.is_open(package) and package in self._wanted:
                self._let_go(package)
                self._arrivals.start(self._wanted[package])
            raise _about(AdapterUnavailable(f"package {package} cannot be read again: {error}"), package) from error
        self._breakers.forget(package)
        return digest

    async def _bring(self, entry: Entry) -> None:
        """Fetch, verify and load one package; what is wrong with the package itself is kept as a refusal.

        Raises what may be better the next time.
        """
        if (draining := self._draining.get(entry.package)) is not None:
            await draining
        try:
            adapter = await self._loaded(entry)
        except AdapterRejected as error:
            if error.code in NOT_ITS_FAULT:
                raise
            logger.warning("adapter %s refused: %s: %s", entry.identity, error.code, error.message)
            self._refused[entry.package] = (entry.revision, Refusal(error.code, error.message))
            return
        self._refused.pop(entry.package, None)
        self._held[entry.package] = adapter
        logger.info("adapter %s held, package %s", entry.identity, entry.package)
        self.let_go_revoked()  # it may have been revoked while it was on its way

    async def _loaded(self, entry: Entry) -> Adapter:
        """What was begun before is waited for: a directory must not be written by two threads."""
        loading = self._loading.get(entry.package)
        if loading is None:
            files = await self._fetch(entry.package)
            loading = asyncio.ensure_future(in_own_thread(self._accept, entry, files))
            self._loading[entry.package] = loading
        try:
            return await asyncio.shield(loading)
        finally:
            if loading.done():
                self._loading.pop(entry.package, None)

    def _abandon(self, package: str) -> None:
        """Undo a load that is still under way, when it ends."""
        loading = self._loading.pop(package, None)
        if loading is not None:
            loading.add_done_callback(lambda done: None if done.exception() else self._discard(package))

    def _discard(self, package: str) -> None:
        if package not in self._held and package not in self._wanted:
            self._loader.unload(package)
            shutil.rmtree(self._dir / package)

    def _accept(self, entry: Entry, files: Mapping[str, bytes]) -> Adapter:
        snapshot = Snapshot(entry.name, files)
        if snapshot.package_digest != entry.package:
            raise AdapterRejected(
                f"{entry.identity}: the store sent package {snapshot.package_digest}, not {entry.package}",
                code="wrong_package",
            )
        # The directory bears the adapter's name because messages about it do.
        directory = self._dir / entry.package / entry.name
        write_directory(directory, files)
        try:
            return self._loader.load(directory, alias=entry.package)
        except BaseException:
            shutil.rmtree(directory.parent)
            raise

    def _let_go(self, package: str) -> None:
        if package not in self._draining:
            self._draining[package] = asyncio.create_task(self._drain(package))

    async def _drain(self, package: str) -> None:
        """Refuse new requests, wait until the running ones have ended, then forget the files."""
        digest = self._held[package].digest
        try:
            self._loader.unload(package)
            while not _is_gone(self._loader, digest):
                await asyncio.sleep(DRAIN_POLL_S)
            if self._lease.is_revoked(package) and digest not in self._loader.loaded_names().values():
                await self._forget(digest)
            await in_own_thread(shutil.rmtree, self._dir / package, True)
        finally:
            del self._held[package], self._draining[package]


def _is_gone(loader: DynamicLoader, digest: str) -> bool:
    """Whether an unloaded adapter is freed, or another package of equal weights keeps it."""
    return digest not in loader.get_memory_usage()["adapters"] or digest in loader.loaded_names().values()


def _revoked(lease: RevocationLease, package: str) -> AdapterRejected:
    return AdapterRejected(lease.reason(package), code="adapter_revoked")


def _about(error: AdaptrixError, package: str) -> AdaptrixError:
    """The same error, saying which package it is about (see `generation.py`)."""
    error.package = package  # type: ignore[attr-defined]
    return error
