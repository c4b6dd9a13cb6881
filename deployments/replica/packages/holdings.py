"""The bundles that a replica holds: fetched from the store, verified here, and handed to the engine's loader.

The store is not trusted. Bytes are hashed once, checked against the bundle digest, the trust policy and the base model,
and only then mapped; after an eviction, a copy in a scratch directory is read and checked again. Adapters are held by
bundle: one package may come with several signatures or with none, and each bundle is judged for itself. A bundle that
was refused is not tried again until the catalogue offers it anew; one that could not be loaded is (`tasks.py`). Revoked
packages are refused whatever the catalogue says, and the requests that run on them end. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from adaptrix_core.composition.manifests.signed_step import SignedStep
from adaptrix_core.digests import BundleDigest, PackageDigest, WeightsDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdapterUnavailable, AdaptrixError, CacheFull
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Mix, Term
from adaptrix_core.injection.wanted_gates import with_gates
from adaptrix_core.sampling import SamplingDefaults, asked_for, explained
from deployments.replica.packages.bundle_copies import BundleCopies
from deployments.replica.packages.circuit_breakers import CircuitBreakers
from deployments.replica.packages.compositions import HeldCompositions, wishes_of
from deployments.replica.packages.draining import DrainingBundles, Forget
from deployments.replica.packages.offers import Offers, signer_of
from deployments.replica.packages.tasks import TRY_LIMIT_S, PackageTasks
from deployments.replica.packages.users import PackageUsers
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry, Refusal
from deployments.shared.own_thread import in_own_thread
from deployments.shared.wire import BundleMix, Holding, Verdict

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""Longest time, in seconds, that syncing with a new catalogue waits for its bundles; the rest arrives while the replica
serves."""
WARM_PATIENCE_S = 15.0
"""Longest time, in seconds, that a new replica waits for recently used adapters before its first request."""
NOT_ITS_FAULT = ("wrong_package",)
"""Codes of refusals that are not the bundle's fault: other bytes came than were asked for."""

Fetch = Callable[[BundleDigest, str], Awaitable[Snapshot]]
"""Reads a bundle's files from the store; the adapter's name, with which they go on, is for messages."""


@dataclass(frozen=True)
class Pinned:
    """The mixes that one request computes under, and what their adapters say of themselves."""

    mixes: tuple[Mix, ...]
    asked: tuple[SamplingDefaults | None, ...]
    """For each mix, the sampling defaults of its adapters, from their verified metadata."""
    about: tuple[Entry, ...]
    """The adapters that its question may be about."""
    ended: asyncio.Future[None]
    """Gets an AdapterRejected (adapter_revoked) as soon as the request must end."""


class Holdings:
    """The bundles of one replica. All methods run in the replica's event loop; slow work goes to threads."""

    def __init__(
        self,
        loader: DynamicLoader,
        scratch_dir: Path,
        fetch: Fetch,
        lease: RevocationLease,
        forget: Forget,
        base_sampling: SamplingDefaults,
        num_layers: int,
        try_limit_s: float = TRY_LIMIT_S,
    ) -> None:
        self._loader = loader
        self._base_sampling = base_sampling
        self._copies = BundleCopies(scratch_dir, loader)
        self._fetch = fetch
        self._lease = lease
        self._users = PackageUsers()
        self._held: dict[BundleDigest, Adapter] = {}
        self._refused: dict[BundleDigest, Refusal] = {}
        self._tried: set[str] = set()
        """Revisions of the entries whose bundle was refused."""
        self._draining = DrainingBundles(self._held, loader, self._copies, lease, forget)
        self._breakers = CircuitBreakers()
        self._tasks = PackageTasks(self._bring, self._breakers, try_limit_s)
        self._offers = Offers(self._copies.verify_again)
        self._loading: dict[BundleDigest, asyncio.Future[Adapter | Composition]] = {}
        """Loads under way, also those whose try has already timed out."""
        self._wanted: dict[BundleDigest, list[Entry]] = {}
        """The catalogue's entries of each bundle that is to be held."""
        self._revisions: set[str] = set()
        """Revisions of all entries of the last synced catalogue."""
        self._compositions = HeldCompositions(self._held, self, num_layers)
        self._packages: dict[BundleDigest, PackageDigest] = {}
        """The package in each bundle of the last synced catalogue."""

    async def sync(self, catalogue: Catalogue) -> None:
        """Hold the catalogue's bundles, and drop all others once no request uses them.

        Bundles that fail a check are noted as refused. Returns when each was tried once, or after `PATIENCE_S`.
        """
        self._packages = {entry.bundle_digest: entry.package_digest for entry in catalogue.entries}
        wanted: dict[BundleDigest, list[Entry]] = {}
        for entry in catalogue.entries:
            if not self._lease.is_revoked(entry.package_digest):
                wanted.setdefault(entry.bundle_digest, []).append(entry)
        for bundle in {*self._held, *self._compositions} - wanted.keys():
            self._let_go(bundle)
        self._refused = {bundle: why for bundle, why in self._refused.items() if bundle in wanted}
        self._tried &= {entry.revision for entries in wanted.values() for entry in entries}
        for bundle in set(self._tasks.bundles()) - wanted.keys():
            self._tasks.stop_loading(bundle)
            self._abandon(bundle)
        news = [entry for entries in wanted.values() for entry in entries if self._is_news(entry)]
        self._wanted = wanted
        self._revisions = {entry.revision for entry in catalogue.entries}
        self._offers.sync(catalogue.entries)
        for entry in news:
            self._tasks.start_loading(entry)
        self._offers.judge(self.is_at_hand)
        await self._tasks.tried([entry.bundle_digest for entry in news], PATIENCE_S)

    def let_go_revoked(self) -> None:
        """End every request that runs on a revoked bundle, and drop its files, weights, keys and values."""
        held = {bundle: adapter.package_digest for bundle, adapter in self._held.items()}
        held |= {bundle: self._compositions[bundle].package_digest for bundle in self._compositions}
        for bundle, package in held.items():
            if self._lease.is_revoked(package):
                self._users.end(bundle, _about(_revoked(self._lease, package), bundle))
                self._let_go(bundle)

    @asynccontextmanager
    async def pinned(
        self, mixes: Sequence[BundleMix], signed: SignedStep | None = None, about: Sequence[BundleDigest] = ()
    ) -> AsyncIterator[Pinned]:
        """The mixes to compute under, their adapters kept in host memory for as long as the context lasts.

        signed: the step of a composition whose mixes they are. about: the adapters that the question may be about.
        Raises AdapterRejected (refused here, and why), AdapterNotFound, AdapterUnavailable or CacheFull, with the
        bundle in ``.bundle_digest``.
        """
        pinned: dict[BundleDigest, Adapter] = {}
        named = dict.fromkeys([signed.bundle] if signed else [term.adapter for mix in mixes for term in mix])
        if named.keys() - self._held.keys():
            await self._wait_for_compositions(named, signed)
        # What compositions say is asked before anything is waited for, as they may be unloaded meanwhile.
        adapters, owners = self._compositions.down_to_adapters(mixes, signed)
        wishing = [self._compositions.wishing(mix) for mix in (adapters if signed else mixes)]
        subjects = self._compositions.step(signed).subjects if signed else about
        with self._users.registered({*named, *owners, *subjects, *self._compositions.made_of(named)}) as ended:
            try:
                for bundle in owners:
                    with _blaming(owners[bundle]):
                        pinned[bundle] = await self._pin(bundle)
                entries = []
                for bundle in subjects:
                    with _blaming(signed.bundle if signed else bundle):
                        entries.append(await self._entry(bundle))
                digests = {bundle: adapter.weights_digest for bundle, adapter in pinned.items()}
                terms = tuple(tuple(term.called(digests[term.adapter]) for term in mix) for mix in adapters)
                if any(term.gated for mix in terms for term in mix):
                    weights = {adapter.weights_digest: adapter.weights for adapter in pinned.values()}
                    terms = await asyncio.to_thread(_with_gates, terms, weights)
                asked = (asked_for([wishes_of(whose, pinned)]) for whose in wishing)
                yield Pinned(terms, tuple(asked), tuple(entries), ended)
            finally:
                for adapter in pinned.values():
                    self._loader.unpin(adapter.weights_digest)

    async def warm(self, bundles: Sequence[BundleDigest]) -> None:
        """Load bundles onto the device as far as there is room, the first of them last, so that it stays.

        Waits for those under way, at most `WARM_PATIENCE_S`.
        """
        await self._tasks.tried(bundles, WARM_PATIENCE_S)
        for bundle in reversed([bundle for bundle in bundles if bundle in self._held]):
            try:
                await asyncio.to_thread(self._loader.preload_adapters, [bundle])
            except AdaptrixError as error:
                logger.info("bundle %s was not brought to the device ahead: %s", bundle, error.message)

    def report(self) -> tuple[dict[BundleDigest, Holding], dict[BundleDigest, Refusal]]:
        """(held, refused), by bundle."""
        held = {
            bundle: Holding(
                adapter.weights_digest,
                signer_of(adapter),
                self._loader.residency(bundle),
                adapter.warnings,
                explained(adapter.metadata.sampling, self._base_sampling),
            )
            for bundle, adapter in self._held.items()
        }
        refused = dict(self._refused)
        for bundle in self._compositions:
            why = self._compositions.objection(bundle)
            if why is not None:
                refused[bundle] = why
            elif not self._compositions.is_waiting(bundle):
                held[bundle] = self._compositions.holding(bundle, self._loader.residency, self._base_sampling)
        for bundle in self._breakers.open_circuits():
            refused[bundle] = self._unavailable(bundle)
        for bundle, package in self._packages.items():
            if self._lease.is_revoked(package):
                refused[bundle] = Refusal("adapter_revoked", self._lease.reason(package))
        return held, refused

    def verdicts(self) -> Mapping[str, Verdict]:
        """The verdict on each staged entry, by revision; those that have none yet are left out."""
        return self._offers.verdicts(lambda entry: self._compositions.is_waiting(entry.bundle_digest), self._objection)

    def _objection(self, entry: Entry) -> Refusal | None:
        if self._lease.is_revoked(entry.package_digest):
            return Refusal("adapter_revoked", self._lease.reason(entry.package_digest))
        if self._breakers.is_open(entry.bundle_digest):
            return self._unavailable(entry.bundle_digest)
        return self._compositions.objection(entry.bundle_digest)

    def _unavailable(self, bundle: BundleDigest) -> Refusal:
        return Refusal(self._breakers.cause(bundle), self._breakers.unavailable(bundle).message, is_final=False)

    def expected(self, package: PackageDigest) -> BundleDigest | None:
        """See `Beside`: the bundle in which the catalogue has this package."""
        return next((one for one in self._wanted if self._packages.get(one) == package), None)

    def package_called(self, identity: str) -> PackageDigest | None:
        """See `Beside`: the public package that the catalogue has under ``name@version``; tenants' own are not told."""
        entries = (entry for known in self._wanted.values() for entry in known if not entry.tenant and not entry.staged)
        return next((entry.package_digest for entry in entries if entry.identity == identity), None)

    def require_unrevoked(self, package: PackageDigest | None) -> None:
        """See `Beside`."""
        self._lease.require_unrevoked(package)

    def is_loading(self, bundle: BundleDigest) -> bool:
        """See `Beside`."""
        return bundle in self._tasks.bundles()

    def is_at_hand(self, bundle: BundleDigest) -> bool:
        """See `Beside`: whether requests may use a bundle that is held."""
        return (bundle in self._held and bundle not in self._draining) or bundle in self._compositions

    def _is_news(self, entry: Entry) -> bool:
        if self.is_at_hand(entry.bundle_digest):
            return False
        if entry.bundle_digest in self._tasks.bundles():
            return entry.revision not in self._revisions
        return entry.revision not in self._tried

    async def _wait_for_compositions(self, named: Iterable[BundleDigest], signed: SignedStep | None) -> None:
        """Return once those of these bundles that are compositions can be computed. Raises as `pinned`."""
        for bundle in named:
            with _blaming(bundle):
                await self._tasks.landed(bundle)
                self.check_usable(bundle)
                self._compositions.down_to_adapters([(Term(bundle),)], signed)

    async def _entry(self, bundle: BundleDigest) -> Entry:
        """The catalogue's entry of a held bundle; raises where it cannot be used."""
        await self._tasks.landed(bundle)
        self.check_usable(bundle)
        if bundle not in self._wanted:
            raise AdapterNotFound(f"the catalogue does not have bundle {bundle}; it was unloaded")
        return self._wanted[bundle][0]

    async def _pin(self, bundle: BundleDigest) -> Adapter:
        """Pin a held bundle's weights in host memory and return the adapter; raises where it cannot be used."""
        await self._tasks.landed(bundle)
        self.check_usable(bundle)
        adapter = self._held[bundle]
        if not self._loader.pin_at_once(adapter.weights_digest):
            await self._pin_from_disk(bundle, adapter.weights_digest)
        self._breakers.close(bundle)
        return adapter

    def check_usable(self, bundle: BundleDigest) -> None:
        """See `Beside`."""
        self.require_unrevoked(self._packages.get(bundle))
        if bundle in self._refused:
            raise AdapterRejected(self._refused[bundle].message, code=self._refused[bundle].code)
        if not self.is_at_hand(bundle):
            raise AdapterNotFound(f"this replica does not hold bundle {bundle}; it was unloaded")

    async def _pin_from_disk(self, bundle: BundleDigest, digest: WeightsDigest) -> None:
        """Pin weights that were evicted from host memory, by reading them again."""
        pinning = asyncio.ensure_future(in_own_thread(self._loader.pin, digest))
        try:
            await asyncio.shield(pinning)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it pins must not stay pinned.
            pinning.add_done_callback(lambda done: None if done.exception() else self._loader.unpin(digest))
            raise
        except (AdapterNotFound, CacheFull):
            raise
        except (AdaptrixError, OSError) as error:  # the replica's own copy cannot be read any more
            self._breakers.failed(bundle, error)
            if self._breakers.is_open(bundle) and bundle in self._wanted:
                self._let_go(bundle)
                self._tasks.start_loading(self._wanted[bundle][0])
            raise AdapterUnavailable(f"bundle {bundle} cannot be read again: {error}") from error

    async def _bring(self, entry: Entry) -> None:
        """Fetch, verify and load one bundle; a fault of the bundle itself is kept as a refusal.

        Raises the errors that another try may not meet.
        """
        await self._draining.gone(entry.bundle_digest)
        try:
            adapter = await self._loaded(entry)
        except AdapterRejected as error:
            if error.code in NOT_ITS_FAULT:
                raise
            logger.warning("adapter %s refused: %s: %s", entry.identity, error.code, error.message)
            refusal = self._refused[entry.bundle_digest] = Refusal(error.code, error.message)
            self._tried |= {entry.revision, *(other.revision for other in self._wanted.get(entry.bundle_digest, ()))}
            self._offers.refused(entry.bundle_digest, refusal)
            return
        self._refused.pop(entry.bundle_digest, None)
        if isinstance(adapter, Composition):
            self._compositions.add(entry.bundle_digest, adapter)
        else:
            self._held[entry.bundle_digest] = adapter
        self._offers.accepted(entry, adapter)
        logger.info("adapter %s held, bundle %s", entry.identity, entry.bundle_digest)
        for warning in adapter.warnings:
            logger.warning("adapter %s: %s", entry.identity, warning)
        self._offers.judge(self.is_at_hand)
        self.let_go_revoked()  # it may have been revoked while it was on its way

    async def _loaded(self, entry: Entry) -> Adapter | Composition:
        """Load the entry's bundle, or join the load under way: two threads must not write one directory."""
        loading = self._loading.get(entry.bundle_digest)
        if loading is None:
            snapshot = await self._fetch(entry.bundle_digest, entry.package_name)
            loading = asyncio.ensure_future(in_own_thread(self._copies.accept, entry, snapshot))
            self._loading[entry.bundle_digest] = loading
        try:
            return await asyncio.shield(loading)
        finally:
            if loading.done():
                self._loading.pop(entry.bundle_digest, None)

    def _abandon(self, bundle: BundleDigest) -> None:
        """Have a load that is still under way undone when it ends."""
        loading = self._loading.pop(bundle, None)
        if loading is not None:
            loading.add_done_callback(lambda done: None if done.exception() else self._discard(bundle))

    def _discard(self, bundle: BundleDigest) -> None:
        if bundle not in self._held and bundle not in self._compositions and bundle not in self._wanted:
            self._copies.discard(bundle)

    def _let_go(self, bundle: BundleDigest) -> None:
        if bundle in self._compositions:
            self._compositions.drop(bundle)
        self._draining.let_go(bundle)


def _with_gates(mixes: tuple[Mix, ...], weights: Mapping[WeightsDigest, LoraWeights]) -> tuple[Mix, ...]:
    """The mixes with the gates that they want; milliseconds for an adapter that had none before."""
    return tuple(with_gates(mix, weights.__getitem__) for mix in mixes)


def _revoked(lease: RevocationLease, package: PackageDigest) -> AdapterRejected:
    return AdapterRejected(lease.reason(package), code="adapter_revoked")


@contextmanager
def _blaming(bundle: BundleDigest) -> Iterator[None]:
    """Attach the bundle by which a request names what is at fault to the errors that are raised."""
    try:
        yield
    except AdaptrixError as error:
        _about(error, bundle)
        raise


def _about(error: AdaptrixError, bundle: BundleDigest) -> AdaptrixError:
    """The same error with its bundle attached (read in `generation/resolve.py`)."""
    error.bundle_digest = bundle
    return error
