"""Parts of compositions that their tenant may use: public ones, its own, and those that others share with it.

Replicas find parts by their digests, for all tenants alike, so whose they are is asked here. A part that is somebody
else's is told of as one that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.composition.manifests.expansion import SignedPart, changed_part, missing_part
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterRejected
from deployments.shared.entry import Entry

NOT_NEEDED = WeightsDigest("")
"""In place of the digest of a part's weights, which no message tells."""


def refuse_unseen_parts(entry: Entry, entries: Sequence[Entry]) -> None:
    """Raise AdapterRejected (missing_part, changed_part) unless the tenant of a composition sees all of its parts."""
    seen = [other for other in entries if not other.staged and other.is_seen_by(entry.tenant)]
    for identity, package_digest in entry.parts:
        if any(other.package_digest == package_digest for other in seen):
            continue
        part = SignedPart(identity, package_digest, NOT_NEEDED, entry.identity)
        found = next((other.package_digest for other in seen if other.identity == identity), None)
        raise missing_part(part) if found is None else changed_part(part, found)


def lost_part(entry: Entry, entries: Sequence[Entry]) -> AdapterRejected | None:
    """Why a composition is withheld: a part is there for others alone, as it is not shared with its tenant any more.

    None where a part is there for nobody: replicas say so themselves, once they lack it.
    """
    for part in entry.parts:
        having = [other for other in entries if other.package_digest == part[1] and not other.staged]
        if having and not any(other.is_seen_by(entry.tenant) for other in having):
            return missing_part(SignedPart(*part, NOT_NEEDED, entry.identity))
    return None
