"""This replica's verdicts on the bundles of staged entries (offers).

Every offer is verified by the keys of today, even where the same bytes are held already: a key may have been removed
since. Knows when an offer has to be verified, not how (`holdings.py`). One event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdaptrixError
from deployments.shared.entry import Entry, Refusal
from deployments.shared.own_thread import in_own_thread
from deployments.shared.wire import Signer, Verdict

logger = logging.getLogger(__name__)


def signer_of(adapter: Adapter | Composition) -> Signer | None:
    """The signer of a package; None where nothing was verified."""
    if adapter.signer is None or adapter.signer_key is None:
        return None
    return Signer(adapter.signer_key, adapter.signer)


class Offers:
    """The staged entries of the catalogue, and the verdicts on them so far."""

    def __init__(self, verify: Callable[[Entry], Adapter | Composition]) -> None:
        """verify: reads and verifies an entry's bundle again, in any thread. Raises AdaptrixError or OSError."""
        self._verify = verify
        self._staged: dict[str, Entry] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._judging: dict[str, asyncio.Task[None]] = {}

    def sync(self, entries: Iterable[Entry]) -> None:
        """Take over the entries that are staged now; verdicts on others are dropped."""
        self._staged = {entry.revision: entry for entry in entries if entry.staged}
        self._verdicts = {key: verdict for key, verdict in self._verdicts.items() if key in self._staged}
        for revision in self._judging.keys() - self._staged.keys():
            self._judging.pop(revision).cancel()

    def accepted(self, entry: Entry, adapter: Adapter | Composition) -> None:
        """Note that this offer's bundle was just verified, and is good."""
        self._verdicts[entry.revision] = Verdict(None, signer_of(adapter))

    def refused(self, bundle: BundleDigest, refusal: Refusal) -> None:
        """Note that a bundle was just verified and refused, for every entry that offers it."""
        for entry in self._staged.values():
            if entry.bundle_digest == bundle:
                self._verdicts[entry.revision] = Verdict(refusal)

    def judge(self, is_held: Callable[[BundleDigest], bool]) -> None:
        """Begin to verify the held bundles of offers without a verdict once more."""
        for revision, entry in self._staged.items():
            if revision not in self._verdicts and revision not in self._judging and is_held(entry.bundle_digest):
                self._judging[revision] = asyncio.create_task(self._judge(entry))

    def verdicts(
        self, is_open: Callable[[Entry], bool], refusal_of: Callable[[Entry], Refusal | None]
    ) -> Mapping[str, Verdict]:
        """Verdicts by revision. is_open: whether an entry has to wait for others before anything is said of it.

        refusal_of: reasons against an entry that do not depend on its bundle's contents.
        """
        found = {}
        for revision, entry in self._staged.items():
            if is_open(entry):
                continue
            refusal = refusal_of(entry)
            verdict = self._verdicts.get(revision) if refusal is None else Verdict(refusal)
            if verdict is not None:
                found[revision] = verdict
        return found

    async def _judge(self, entry: Entry) -> None:
        try:
            adapter = await in_own_thread(self._verify, entry)
        except (AdaptrixError, OSError) as error:
            code = error.code if isinstance(error, AdaptrixError) else "unreadable"
            logger.warning("adapter %s refused, though its bundle is held: %s: %s", entry.identity, code, error)
            self._verdicts[entry.revision] = Verdict(Refusal(code, str(error)))
        else:
            self.accepted(entry, adapter)
        finally:
            self._judging.pop(entry.revision, None)
