"""The adapter store: one named, detached actor that owns the catalogue and hands out package files.

It survives replicas and redeployments, restarts from disk (`disk.py`), and is asked to retire when its settings
change. It is not trusted: replicas check every byte they fetch, and every revocation list. Loading and unloading are
decided here, once, by the reports of the live replicas. All other processes follow the catalogue by long polling
(`watch`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import ray

from adaptrix_core.adapters.package.about import about_package
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.reference import LATEST, safe_name
from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard
from adaptrix_core.config.sections import AdapterSettings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import (
    AdapterBusy,
    RequestTimeout,
)
from deployments.shared.catalogue import Catalogue, View
from deployments.shared.entry import PUBLIC, Audience, Entry, LoadCall, name_of_tenant
from deployments.shared.own_thread import in_own_thread
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import Report, Revoked, Signer
from deployments.store.adapter_usage import AdapterUsage
from deployments.store.disk import StoreFiles
from deployments.store.fingerprint import fingerprint
from deployments.store.name_book import NameBook
from deployments.store.package_cache import PackageCache
from deployments.store.package_files import describe
from deployments.store.permitted_parts import refuse_unseen_parts
from deployments.store.replica_reports import Presence, agreed_signer
from deployments.store.standing import (
    first_signed,
    newest_verified,
    refuse_conflicting,
    refuse_downgrade,
    refuse_foreign,
    refuse_other_contents,
    refused_by_all,
    replaced_by,
    with_standing,
)

logger = logging.getLogger(__name__)

SETTLE_TIMEOUT_S = 300.0
REVOKE_TIMEOUT_S = 10.0
WATCH_S = 20.0
CACHE_BYTES = 256 * 1024 * 1024
"""Bytes of recently fetched packages that are kept in shared memory for other replicas."""


class AdapterStore:
    """The actor's class. All methods run in one event loop, so state is consistent between two awaits."""

    def __init__(self, settings: AdapterSettings) -> None:
        self._fingerprint = fingerprint(settings)
        self._files = StoreFiles(settings.dir, settings.state_dir)
        self._board = RevocationBoard(settings.state_dir, settings.trusted_keys_dir)
        self._names = NameBook(settings.state_dir, settings.trusted_keys_dir)
        self._is_owned = settings.trust != "off"
        self._refused: set[BundleDigest] = set()
        """Bundles that no live replica accepts."""
        self._presence = Presence()
        self._usage = AdapterUsage()
        # Makes versions of two lives of the store differ, so that followers notice a restart.
        self._life = secrets.token_hex(4)
        self._count = 0
        entries = self._files.open()
        self._board.open()
        self._names.open({entry.bundle_digest for entry in entries})
        self._entries = self._judged(entries)
        self._busy: set[str] = set()
        self._cache = PackageCache(self._put, CACHE_BYTES)
        self._about: dict[BundleDigest, dict[str, Any]] = {}
        self._poll_s = settings.poll_s
        self._looking: asyncio.Task[None] | None = None
        logger.info("adapter store holds %d adapters", len(self._entries))

    async def retire_unless(self, wanted: str) -> None:
        """End this actor for good if it was made with other settings; the next process that asks makes a new one."""
        if wanted != self._fingerprint:
            ray.actor.exit_actor()

    async def watch(self, known_version: str | None) -> Catalogue:
        """Long poll: the catalogue as soon as it differs from ``known_version``; unchanged after `WATCH_S`."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        await self._presence.until(lambda: self._version() != known_version, WATCH_S)
        return self._catalogue()

    async def watch_revocations(self, known_number: int, wait_s: float) -> SignedList | None:
        """Long poll: the revocation list once its number differs, or after ``wait_s``; None where there is none."""
        await self._presence.until(lambda: self._board.list.number != known_number, wait_s)
        return self._board.files

    async def revoke(self, files: SignedList) -> Revoked:
        """Put a signed revocation list in force; returns once every live replica has it, or after a few seconds.

        Raises AdapterRejected (not signed by a trusted key, malformed) or Conflict (not newer than the one in force).
        """
        later = await asyncio.to_thread(self._board.put_in_force, files)
        # A new version of the catalogue, too: packages that are not revoked any more have to be fetched again.
        await self._publish(self._entries)
        done, waiting = await self._presence.settle(lambda r: r.revocations >= later.number, REVOKE_TIMEOUT_S)
        logger.info("revocation list %d in force, %d packages", later.number, len(later.revoked))
        return Revoked(later.number, tuple(r.replica_id for r in done), tuple(r.replica_id for r in waiting))

    async def fetch(self, bundle: BundleDigest) -> list[ray.ObjectRef]:
        """``[reference to {file name: uint8 array}]``: in a list, so that the bytes do not pass through this reply."""
        return [await self._cache.get(bundle)]

    async def read_package(self, bundle: BundleDigest) -> Snapshot:
        """The files of a bundle, as they are on disk. Raises AdapterNotFound or AdapterRejected."""
        return await in_own_thread(self._files.read_package, bundle)

    async def about(self, bundle: BundleDigest) -> dict[str, Any]:
        """A bundle's own description (`about_package`). Raises AdapterNotFound or AdapterRejected."""
        if bundle not in self._about:
            self._about[bundle] = about_package(await self.read_package(bundle))
        return self._about[bundle]

    async def report(self, report: Report) -> None:
        """Note a replica's report: the bundles that it holds and refuses, and their signers."""
        self._usage.count_uses(report)
        await self._note_signers(report)
        await self._presence.note_report(report)  # wakes the waiting calls, so signers must be known by then
        live = self._presence.live()
        refused = refused_by_all((r.held for r in live), (r.refused for r in live))
        if refused != self._refused:
            self._refused = refused
            await self._publish(self._entries)

    async def hot(self, count: int) -> list[BundleDigest]:
        """The bundles used most lately over all replicas, most used first."""
        return self._usage.top(count)

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the last report of each live replica."""
        return self._catalogue(), self._presence.live()

    async def residency(self) -> ClusterResidency:
        """What each live replica has in memory, by its last report."""
        return ClusterResidency.of(self._presence.live())

    async def load_adapter(self, wanted: LoadCall) -> Entry:
        """Offer an adapter to every replica; durable and usable on all of them when this returns.

        Raises AdapterExists (that version is there), AdapterBusy (the name is being loaded or unloaded), Conflict (the
        name is another's, or an older version would take it), AdapterRejected (a replica refused it), RequestTimeout.
        A load that fails leaves nothing behind, and what it was to replace where it was.
        """
        async with self._alone(name_of_tenant(wanted.audience.tenant, safe_name(wanted.name)), wanted.name):
            take = self._files.take_shipped if wanted.path in self._catalogue().unloaded else self._files.stage
            staged = await asyncio.to_thread(take, wanted)
            return await self._admit(staged, wanted.allow_downgrade, wanted.in_place)

    async def publish_adapter(
        self, files: Mapping[str, bytes], allow_downgrade: bool = False, audience: Audience = PUBLIC
    ) -> tuple[Entry, bool]:
        """As `load_adapter`, from the files themselves, under the name they give; also returns whether it is new.

        Publishing the same contents again changes nothing, but they have to pass every check again.
        Raises Conflict where that version has other contents.
        """
        snapshot = Snapshot("upload", files)
        wanted = await asyncio.to_thread(describe, snapshot)  # hashes all of it
        key = name_of_tenant(audience.tenant, wanted.name)
        await self._presence.until(lambda: key not in self._busy, SETTLE_TIMEOUT_S)
        async with self._alone(key, wanted.name):
            signed = tuple(entry for entry in self._owned_by(audience.tenant).entries if not entry.is_alias)
            there = View(signed).find(wanted.identity)
            refuse_other_contents(wanted, there)
            staged = await asyncio.to_thread(self._files.take_files, wanted.name, snapshot, audience)
            if there is None:
                return await self._admit(staged, allow_downgrade), True
            await self._verify(staged)
            return there, False

    async def unload_adapter(self, wanted: str, allow_downgrade: bool = False, tenant: str = "") -> list[Entry]:
        """Remove ``name`` or ``name@version``; returns once no live replica holds it any more (they drain first).

        tenant: whose it is; empty for a public one. Raises AdapterNotFound, AdapterBusy, Conflict (the name would mean
        an older version), RequestTimeout.
        """
        called = wanted.partition("@")[0]
        key = name_of_tenant(tenant, safe_name(called))
        self._require_idle(key, called)
        owned = self._owned_by(tenant)
        newest = owned.find(wanted)
        gone = [newest] if newest is not None and wanted.endswith(f"@{LATEST}") else owned.called(wanted)
        if not gone:
            raise owned.not_found(wanted, param="lora_name")
        refuse_downgrade(gone, self._entries, allow_downgrade)
        async with self._alone(key, called):
            await asyncio.to_thread(self._files.remove, gone)
            revisions = {entry.revision for entry in gone}
            await self._publish(tuple(entry for entry in self._entries if entry.revision not in revisions))
            left = self._owned_by(tenant).find(safe_name(called))
            if left is not None and not left.is_alias:
                await self._remember(newest={key: left.version})
            bundles = {entry.bundle_digest for entry in gone}
            # Another name may come to mean the same bundle meanwhile: then its release is not waited for.
            await self._settle(
                lambda report: not (bundles & report.held.keys()) - {entry.bundle_digest for entry in self._entries},
                f"unloading {wanted!r}",
            )
        self._forget(gone)
        return gone

    async def share_adapter(self, wanted: str, audience: Audience) -> list[Entry]:
        """Have ``name`` (every version of it) or ``name@version`` of a tenant seen by this audience alone; durable.

        Raises AdapterNotFound where the tenant has none of this name, AdapterBusy.
        """
        called = wanted.partition("@")[0]
        async with self._alone(name_of_tenant(audience.tenant, safe_name(called)), called):
            owned = self._owned_by(audience.tenant)
            changed = {entry.revision: audience.of(entry) for entry in owned.called(wanted)}
            if not changed:
                raise owned.not_found(wanted, param="name")
            await asyncio.to_thread(self._files.share, changed.values())
            await self._publish(tuple(changed.get(entry.revision, entry) for entry in self._entries))
        return list(changed.values())

    def _owned_by(self, tenant: str) -> View:
        """The adapters of one tenant; of the empty one, the public ones."""
        unloaded = () if tenant else self._catalogue().unloaded
        return View(tuple(entry for entry in self._entries if entry.tenant == tenant), unloaded)

    def _forget(self, gone: Iterable[Entry]) -> None:
        """Drop what is remembered of bundles that no entry has any more."""
        for bundle in {entry.bundle_digest for entry in gone} - {entry.bundle_digest for entry in self._entries}:
            self._cache.drop(bundle)
            self._about.pop(bundle, None)

    async def _admit(self, entry: Entry, allow_downgrade: bool, in_place: bool = False) -> Entry:
        """Take a staged entry in once every replica has verified it; a refused one leaves nothing behind.

        in_place: what was loaded under its name leaves in the same step; requests that run on it go on to their end.
        """
        try:
            replaced = replaced_by(entry, self._entries) if in_place else ()
            gone = {other.revision for other in replaced}
            await asyncio.to_thread(self._names.look)
            others = [other for other in self._entries if other.revision not in gone]
            refuse_conflicting(entry, others, self._names, allow_downgrade)
            refuse_unseen_parts(entry, others)
            signer = await self._offer(entry)
            await asyncio.to_thread(self._register, entry, signer, allow_downgrade)
            committed = await asyncio.to_thread(self._files.commit, entry, replaced)
        except BaseException:
            await self._withdraw(entry)
            raise
        kept = (other for other in self._entries if other.revision not in gone)
        await self._publish(tuple(committed if e.revision == entry.revision else e for e in kept))
        self._forget(replaced)
        logger.info("adapter %s loaded, package %s", committed.identity, committed.package_digest)
        return committed

    def _register(self, entry: Entry, signer: Signer | None, allow_downgrade: bool) -> None:
        """Record the signer of a new entry; a name without an owner belongs to it from now on. Raises Conflict."""
        if self._is_owned:
            refuse_foreign(entry, signer, self._entries, self._names)
        first = {entry.name_key: signer} if signer is not None and not entry.is_alias else None
        # With allow_downgrade the lower version is noted as the newest; a higher one is noted when it is served.
        newest = {entry.name_key: entry.version} if allow_downgrade and not entry.is_alias else None
        self._names.note({entry.bundle_digest: signer}, first, newest)

    async def _verify(self, entry: Entry) -> None:
        """Have a staged entry verified by every replica, and forget it. Raises as `_admit`."""
        try:
            signer = await self._offer(entry)
            if self._is_owned:
                refuse_foreign(entry, signer, self._entries, self._names)
        finally:
            await self._withdraw(entry)

    async def _withdraw(self, entry: Entry) -> None:
        await self._publish(tuple(other for other in self._entries if other.revision != entry.revision))
        await asyncio.to_thread(self._files.discard, entry)

    @asynccontextmanager
    async def _alone(self, key: str, called: str) -> AsyncIterator[None]:
        """Exclude other loads, publications and unloads of a name while the context lasts. Raises AdapterBusy.

        key: as `Entry.name_key`. called: for messages.
        """
        self._require_idle(key, called)
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)
            await self._presence.wake()

    def _require_idle(self, key: str, called: str) -> None:
        if key in self._busy:
            raise _busy(called)

    async def _put(self, bundle: BundleDigest) -> tuple[ray.ObjectRef, int]:
        files = (await self.read_package(bundle)).files
        reference = ray.put({name: np.frombuffer(data, np.uint8) for name, data in files.items()})
        return reference, sum(map(len, files.values()))

    async def _keep_looking(self) -> None:
        """Follow the shipped adapters' files."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                transferred = await asyncio.to_thread(self._names.look)
                if await asyncio.to_thread(self._files.look) or transferred:
                    await self._publish(self._files.with_shipped(e for e in self._entries if not e.shipped))
            except Exception as error:  # a directory or bucket that cannot be listed now may come back later
                logger.warning("could not look for new adapters: %s", error)

    async def _offer(self, entry: Entry) -> Signer | None:
        """Let every replica verify a staged entry's bundle; its signer. Raises AdapterRejected, AdapterUnavailable.

        None where the policy lets bundles pass whose signature is not verified.
        """
        await self._publish((*self._entries, entry))
        reports = await self._settle(lambda r: entry.revision in r.verdicts, f"loading {entry.identity!r}")
        return agreed_signer(reports, entry.revision)

    async def _settle(self, done: Callable[[Report], bool], what: str) -> list[Report]:
        """Wait until every live replica has caught up and is ``done``; at least one must be live."""
        count = self._count
        settled, waiting = await self._presence.settle(
            lambda report: self._caught_up(report, count) and done(report), SETTLE_TIMEOUT_S
        )
        if waiting or not settled:
            raise RequestTimeout(
                f"{what} took more than {SETTLE_TIMEOUT_S:.0f} s; waiting for "
                f"{', '.join(r.replica_id for r in waiting) or 'any replica to report'}; see GET /v1/adapters, then "
                "try again"
            )
        return settled

    def _caught_up(self, report: Report, count: int) -> bool:
        life, _, number = report.catalogue_version.partition(":")
        return life == self._life and int(number) >= count

    async def _note_signers(self, report: Report) -> None:
        """Record the signers of the bundles that this replica holds; names without an owner get theirs from them."""
        new = {bundle: held.signer for bundle, held in report.held.items() if not self._names.knows(bundle)}
        if not new:
            return
        await self._remember(signers=new)
        await self._remember(first=first_signed(self._entries, self._names))
        await self._publish(self._entries)

    async def _remember(self, **facts: Any) -> None:
        """Write facts about names to the name book (`NameBook.note`); with a full disk only these facts are lost."""
        try:
            await asyncio.to_thread(partial(self._names.note, **facts))
        except OSError as error:
            logger.error("what replicas found out about names cannot be written down: %s", error)

    def _judged(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        return with_standing(entries, self._names, self._refused, self._board.list.revoked.keys(), self._is_owned)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._version(), self._entries, self._files.unloaded({entry.name for entry in self._entries}))

    def _version(self) -> str:
        return f"{self._life}:{self._count}"

    async def _publish(self, entries: tuple[Entry, ...]) -> None:
        self._entries = self._judged(entries)
        self._count += 1
        newest = newest_verified(self._entries, self._names)
        if newest:
            await self._remember(newest=newest)
        await self._presence.wake()


def _busy(name: str) -> AdapterBusy:
    return AdapterBusy(
        f"adapter {name!r} is being loaded or unloaded by another request; send this one again when that has ended",
        param="lora_name",
    )
