"""The adapter store: one named, detached actor that owns the catalogue and hands out package files.

It survives replicas and redeployments, restarts from disk (`store_files.py`), and is asked to retire when its settings
change. It verifies nothing and nobody trusts it: replicas check every byte they fetch. Loading and unloading are
decided here, once, by what the live replicas report. Everybody else follows the catalogue with `watch`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError

from adaptrix_core.adapters.snapshot import Snapshot
from adaptrix_core.config import AdapterSettings
from adaptrix_core.errors import AdapterExists, AdapterRejected, RequestTimeout
from deployments.catalogue import Catalogue
from deployments.store_files import StoreFiles
from deployments.wire import Entry, Report

logger = logging.getLogger(__name__)

STORE_NAME = "adaptrix-store"
LIVE_S = 15.0
"""A replica that has not reported for so long counts as gone; reports come about once a second."""
SETTLE_TIMEOUT_S = 300.0
WATCH_S = 20.0


class AdapterStore:
    """The actor's class. All methods run in one event loop, so state between two awaits is consistent."""

    def __init__(self, shipped_dir: str, state_dir: str) -> None:
        self._fingerprint = fingerprint(shipped_dir, state_dir)
        self._files = StoreFiles(Path(shipped_dir), Path(state_dir))
        # Versions of two lives of the store never look alike, so followers notice a restart.
        self._life = secrets.token_hex(4)
        self._count = 0
        self._entries = self._files.open()
        self._reports: dict[str, tuple[float, Report]] = {}
        self._busy: set[str] = set()
        self._changed = asyncio.Condition()
        logger.info("adapter store holds %d adapters", len(self._entries))

    async def retire_unless(self, wanted: str) -> None:
        """End this actor for good if it was made with other settings; the next to ask makes a new one."""
        if wanted != self._fingerprint:
            ray.actor.exit_actor()

    async def watch(self, known_version: str | None) -> Catalogue:
        """The catalogue, as soon as it differs from ``known_version``; unchanged after `WATCH_S`."""
        async with self._changed:
            try:
                async with asyncio.timeout(WATCH_S):
                    await self._changed.wait_for(lambda: self._version() != known_version)
            except TimeoutError:
                logger.debug("catalogue still at %s", known_version)
            return Catalogue(self._version(), self._entries)

    async def fetch(self, package: str) -> list[ray.ObjectRef]:
        """``[reference to {file name: uint8 array}]``: in a list, so that the bytes do not pass through this reply."""
        snapshot = await self.read(package)
        return [ray.put({name: np.frombuffer(data, np.uint8) for name, data in snapshot.files.items()})]

    async def read(self, package: str) -> Snapshot:
        """The files of a package, as they are on disk. Raises AdapterNotFound or AdapterRejected."""
        return await asyncio.to_thread(self._files.read, package)

    async def report(self, report: Report) -> None:
        """Take note of what a replica holds."""
        self._reports[report.replica_id] = (time.monotonic(), report)
        await self._wake()

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        """The catalogue and the last report of each live replica."""
        return Catalogue(self._version(), self._entries), self._live()

    async def load(self, name: str, path: str) -> Entry:
        """Offer the adapter at ``path`` to every replica; durable and usable on all of them when this returns.

        Raises AdapterExists (that version is there, or is being loaded), AdapterRejected (a replica refused it),
        RequestTimeout. A load that fails leaves nothing behind.
        """
        if name in self._busy:
            raise AdapterExists(f"adapter {name!r} is being loaded or unloaded by another request; wait for it to end")
        self._busy.add(name)
        try:
            entry = await asyncio.to_thread(self._files.take, name, Path(path))
            try:
                return await self._offer(entry)
            except BaseException:
                await self._publish(tuple(e for e in self._entries if e.revision != entry.revision))
                self._forget(entry)
                raise
        finally:
            self._busy.discard(name)

    async def unload(self, wanted: str) -> list[Entry]:
        """Remove ``name`` or ``name@version``; returns once no live replica holds it any more (they drain first)."""
        name, _, version = wanted.partition("@")
        gone = [e for e in self._entries if not e.staged and e.name == name and version in ("", e.version)]
        if not gone:
            raise Catalogue("", self._entries).not_found(wanted, param="lora_name")
        if name in self._busy:
            raise AdapterExists(f"adapter {name!r} is being loaded or unloaded by another request; wait for it to end")
        self._busy.add(name)
        try:
            await asyncio.to_thread(self._files.remove, gone)
            await self._publish(tuple(entry for entry in self._entries if entry not in gone))
            packages = {entry.package for entry in gone} - {entry.package for entry in self._entries}
            await self._settle(lambda report: not packages & set(report.held), f"unloading {wanted!r}")
        finally:
            self._busy.discard(name)
        return gone

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
            raise AdapterRejected(
                f"{refusal.message} (refused by {len(refusals)} of {len(reports)} replicas, first {report.replica_id})",
                code=refusal.code,
            )
        committed = await asyncio.to_thread(self._files.commit, entry)
        await self._publish(tuple(committed if e.revision == entry.revision else e for e in self._entries))
        logger.info("adapter %s loaded, package %s", committed.identity, committed.package)
        return committed

    async def _settle(self, done: Callable[[Report], bool], what: str) -> list[Report]:
        """Wait until every live replica has caught up and is ``done``; at least one must be live."""
        count, deadline = self._count, time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            live = self._live()
            waiting = [r.replica_id for r in live if not (self._caught_up(r, count) and done(r))]
            if live and not waiting:
                return live
            if time.monotonic() > deadline:
                raise RequestTimeout(
                    f"{what} took more than {SETTLE_TIMEOUT_S:.0f} s; waiting for "
                    f"{', '.join(waiting) or 'any replica to report'}; see GET /v1/adapters, then try again"
                )
            await self._pause()

    async def _pause(self) -> None:
        """Until something changed, at most a second (a silent replica stops counting without saying so)."""
        async with self._changed:
            try:
                async with asyncio.timeout(1.0):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _caught_up(self, report: Report, count: int) -> bool:
        life, _, number = report.catalogue_version.partition(":")
        return life == self._life and int(number) >= count

    def _forget(self, entry: Entry) -> None:
        if not any(other.package == entry.package for other in self._entries):
            self._files.discard(entry.package)

    def _live(self) -> list[Report]:
        oldest = time.monotonic() - LIVE_S
        self._reports = {key: (seen, report) for key, (seen, report) in self._reports.items() if seen >= oldest}
        return [report for _, (_, report) in sorted(self._reports.items())]

    def _version(self) -> str:
        return f"{self._life}:{self._count}"

    async def _publish(self, entries: tuple[Entry, ...]) -> None:
        self._entries = entries
        self._count += 1
        await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def fingerprint(shipped_dir: str, state_dir: str) -> str:
    """Changes with anything that a running store cannot change: its code's version and its directories."""
    return hashlib.sha256(f"store-1\0{shipped_dir}\0{state_dir}".encode()).hexdigest()


async def open_store(settings: AdapterSettings, namespace: str) -> Any:
    """The store's handle; makes the actor if there is none, and replaces one that was made with other settings.

    ``namespace`` is the Serve application's, so that two applications on one cluster have a store each. Any process may
    call this at any time: an actor leaves only if its own settings are not the ones that were asked for.
    """
    directories = (str(settings.dir), str(settings.state_dir))
    remote_class = ray.remote(AdapterStore)
    while True:
        handle = remote_class.options(
            name=STORE_NAME,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=3,
            num_cpus=0.1,
        ).remote(*directories)
        try:
            await handle.retire_unless.options(max_task_retries=0).remote(fingerprint(*directories))
            return handle
        except RayActorError:
            logger.info("the adapter store's settings changed; starting a new one")
            await asyncio.sleep(0.2)


def namespace_of(app_name: str) -> str:
    """Where the store of a Serve application lives."""
    return f"adaptrix-{app_name}"
