"""The adapter store: one named, detached actor that owns the catalogue and hands out package files.

It survives replicas and redeployments, restarts from disk (`store_files.py`), and is asked to retire when its settings
change. Nobody trusts it: replicas check every byte they fetch, and every revocation list. Loading and unloading are
decided here, once, by what the live replicas report. Everybody else follows the catalogue with `watch`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray

from adaptrix_core.adapters.about import about_package
from adaptrix_core.adapters.revocation import SignedList
from adaptrix_core.adapters.snapshot import Snapshot
from adaptrix_core.errors import AdapterExists, AdapterRejected, AdapterUnavailable, Conflict, RequestTimeout
from adaptrix_core.sections import AdapterSettings
from deployments.catalogue import Catalogue
from deployments.cluster_residency import warmest
from deployments.hot import HotAdapters
from deployments.own_thread import in_own_thread
from deployments.package_files import describe
from deployments.presence import Presence
from deployments.revocation_board import RevocationBoard
from deployments.shelf import Shelf
from deployments.store_files import StoreFiles
from deployments.store_handle import fingerprint
from deployments.wire import Entry, Report, Revoked

logger = logging.getLogger(__name__)

SETTLE_TIMEOUT_S = 300.0
REVOKE_TIMEOUT_S = 10.0
WATCH_S = 20.0
SHELF_BYTES = 256 * 1024 * 1024
"""Packages that were asked for stay in shared memory, for other replicas to ask."""


class AdapterStore:
    """The actor's class. All methods run in one event loop, so state between two awaits is consistent."""

    def __init__(self, settings: AdapterSettings) -> None:
        self._fingerprint = fingerprint(settings)
        self._files = StoreFiles(settings.dir, settings.state_dir)
        self._board = RevocationBoard(settings.state_dir, settings.trusted_keys_dir)
        self._presence = Presence()
        self._hot = HotAdapters()
        # Versions of two lives of the store never look alike, so followers notice a restart.
        self._life = secrets.token_hex(4)
        self._count = 0
        self._entries = self._files.open()
        self._board.open()
        self._busy: set[str] = set()
        self._shelf = Shelf(self._put, SHELF_BYTES)
        self._about: dict[str, dict[str, Any]] = {}
        self._poll_s = settings.poll_s
        self._looking: asyncio.Task[None] | None = None
        logger.info("adapter store holds %d adapters", len(self._entries))

    async def retire_unless(self, wanted: str) -> None:
        """End this actor for good if it was made with other settings; the next to ask makes a new one."""
        if wanted != self._fingerprint:
            ray.actor.exit_actor()

    async def watch(self, known_version: str | None) -> Catalogue:
        """The catalogue, as soon as it differs from ``known_version``; unchanged after `WATCH_S`."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        await self._presence.until(lambda: self._version() != known_version, WATCH_S)
        return Catalogue(self._version(), self._entries)

    async def watch_revocations(self, known_number: int, wait_s: float) -> SignedList | None:
        """The revocation list, as soon as its number is another one; the same after ``wait_s``. None: there is none."""
        await self._presence.until(lambda: self._board.list.number != known_number, wait_s)
        return self._board.files

    async def revoke(self, files: SignedList) -> Revoked:
        """Put a signed revocation list in force; returns once every live replica has it, or after a few seconds.

        Raises AdapterRejected (not signed by a trusted key, malformed) or Conflict (not newer than the one in force).
        """
        later = await asyncio.to_thread(self._board.publish, files)
        # A new version of the catalogue, too: what is revoked no more has to be fetched again.
        await self._publish(self._entries)
        done, waiting = await self._presence.settle(lambda r: r.revocations >= later.number, REVOKE_TIMEOUT_S)
        logger.info("revocation list %d in force, %d packages", later.number, len(later.revoked))
        return Revoked(later.number, tuple(r.replica_id for r in done), tuple(r.replica_id for r in waiting))

    async def fetch(self, package: str) -> list[ray.ObjectRef]:
        """``[reference to {file name: uint8 array}]``: in a list, so that the bytes do not pass through this reply."""
        return [await self._shelf.get(package)]

    async def num_disk_reads(self) -> int:
        """How often a package was read to be handed out."""
        return self._shelf.num_reads

    async def read(self, package: str) -> Snapshot:
        """The files of a package, as they are on disk. Raises AdapterNotFound or AdapterRejected."""
        return await in_own_thread(self._files.read, package)

    async def about(self, package: str) -> dict[str, Any]:
        """What a package says about itself (`about_package`). Raises AdapterNotFound or AdapterRejected."""
        if package not in self._about:
            self._about[package] = about_package(await self.read(package))
        return self._about[package]

    async def report(self, report: Report) -> None:
        """Take note of what a replica holds."""
        self._hot.note(report)
        await self._presence.note(report)

    async def hot(self, count: int) -> list[str]:
        """The packages used most lately over all replicas, most used first."""
        return self._hot.top(count)

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the last report of each live replica."""
        return Catalogue(self._version(), self._entries), self._presence.live()

    async def residency(self) -> dict[str, str]:
        """By package, where it is nearest to running on any live replica (`residency.warmest`)."""
        return warmest(self._presence.live())

    async def load(self, name: str, path: str) -> Entry:
        """Offer the adapter at ``path`` to every replica; durable and usable on all of them when this returns.

        Raises AdapterExists (that version is there, or is being loaded), AdapterRejected (a replica refused it),
        RequestTimeout. A load that fails leaves nothing behind.
        """
        if name in self._busy:
            raise _busy(name)
        async with self._alone(name):
            return await self._admit(await asyncio.to_thread(self._files.take, name, Path(path)))

    async def publish(self, files: Mapping[str, bytes]) -> tuple[Entry, bool]:
        """As `load`, from the files themselves, under the name they give; whether it is new.

        Publishing the same contents again changes nothing. Raises Conflict where that version has other contents.
        """
        snapshot = Snapshot("upload", files)
        wanted = describe(snapshot)
        await self._presence.until(lambda: wanted.name not in self._busy, SETTLE_TIMEOUT_S)
        if wanted.name in self._busy:
            raise _busy(wanted.name)
        async with self._alone(wanted.name):
            there = next((entry for entry in self._entries if entry.identity == wanted.identity), None)
            if there is None:
                return await self._admit(await asyncio.to_thread(self._files.take_files, wanted.name, snapshot)), True
            if there.package == wanted.package:
                return there, False
            raise Conflict(
                f"adapter {there.identity!r} is published already with other contents (package {there.package}, sent "
                f"{wanted.package}); give yours another version",
                code="version_conflict",
            )

    async def unload(self, wanted: str) -> list[Entry]:
        """Remove ``name`` or ``name@version``; returns once no live replica holds it any more (they drain first)."""
        name, _, version = wanted.partition("@")
        catalogue = Catalogue("", self._entries)
        newest = catalogue.find(wanted)
        if newest is None:
            raise catalogue.not_found(wanted, param="lora_name")
        gone = [newest] if version else [e for e in catalogue.servable() if e.name == name]
        if name in self._busy:
            raise _busy(name)
        async with self._alone(name):
            await asyncio.to_thread(self._files.remove, gone)
            await self._publish(tuple(entry for entry in self._entries if entry not in gone))
            packages = {entry.package for entry in gone} - {entry.package for entry in self._entries}
            await self._settle(lambda report: not packages & set(report.held), f"unloading {wanted!r}")
        for package in packages:
            self._shelf.drop(package)
            self._about.pop(package, None)
        return gone

    async def _admit(self, entry: Entry) -> Entry:
        """Offer a staged entry; what is refused leaves nothing behind."""
        try:
            return await self._offer(entry)
        except BaseException:
            await self._publish(tuple(e for e in self._entries if e.revision != entry.revision))
            self._forget(entry)
            raise

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """Nobody else loads, publishes or unloads ``name`` meanwhile."""
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)
            await self._presence.wake()

    async def _put(self, package: str) -> tuple[ray.ObjectRef, int]:
        files = (await self.read(package)).files
        reference = ray.put({name: np.frombuffer(data, np.uint8) for name, data in files.items()})
        return reference, sum(map(len, files.values()))

    async def _keep_looking(self) -> None:
        """Follow the shipped adapters' files."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                if await asyncio.to_thread(self._files.look):
                    await self._publish(self._files.with_shipped(e for e in self._entries if not e.shipped))
            except Exception as error:  # a directory or bucket that cannot be listed now may be there again later
                logger.warning("could not look for new adapters: %s", error)

    async def _offer(self, entry: Entry) -> Entry:
        for other in self._entries:
            if other.identity == entry.identity:
                same = "with the same contents" if other.package == entry.package else "with other contents"
                raise AdapterExists(
                    f"adapter {entry.identity!r} is there already, {same}; unload it first, or give the new one "
                    "another version",
                    param="lora_name",
                )
        await self._publish((*self._entries, entry))
        reports = await self._settle(
            lambda r: entry.package in r.held or entry.package in r.refused, f"loading {entry.identity!r}"
        )
        refusals = [(r, r.refused[entry.package]) for r in reports if entry.package in r.refused]
        if refusals:
            report, refusal = refusals[0]
            shown = (
                f"{refusal.message} (refused by {len(refusals)} of {len(reports)} replicas, first {report.replica_id})"
            )
            if refusal.code == AdapterUnavailable.code:
                raise AdapterUnavailable(shown)
            raise AdapterRejected(shown, code=refusal.code)
        committed = await asyncio.to_thread(self._files.commit, entry)
        await self._publish(tuple(committed if e.revision == entry.revision else e for e in self._entries))
        logger.info("adapter %s loaded, package %s", committed.identity, committed.package)
        return committed

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

    def _forget(self, entry: Entry) -> None:
        if not any(other.package == entry.package for other in self._entries):
            self._files.discard(entry.package)

    def _version(self) -> str:
        return f"{self._life}:{self._count}"

    async def _publish(self, entries: tuple[Entry, ...]) -> None:
        self._entries = entries
        self._count += 1
        await self._presence.wake()


def _busy(name: str) -> AdapterExists:
    return AdapterExists(f"adapter {name!r} is being loaded or unloaded by another request; wait for it to end")
