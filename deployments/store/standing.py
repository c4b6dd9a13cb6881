"""Decides which entries of the catalogue count, and which new ones are conflicts: pure, over names, signers, versions.

A name belongs to its owner: other signers' versions are withheld. An alias (a name that is not the signed one) never
takes the name of a package. A version that is revoked, or that no replica accepts, gives way to the newest good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

from adaptrix_core.adapters.reference import version_key
from adaptrix_core.adapters.trust.name_owners import counting
from adaptrix_core.digests import BundleDigest, PackageDigest
from adaptrix_core.errors import AdapterExists, AdapterUnavailable, Conflict
from deployments.shared.catalogue import Catalogue, View
from deployments.shared.entry import Entry, Refusal
from deployments.shared.wire import Signer
from deployments.store.permitted_parts import lost_part

DOWNGRADE_HINT = "send allow_downgrade: true (--allow-downgrade) if that is meant"


class Names(Protocol):
    """The record of names (`name_book.py`)."""

    def owners(self, name: str) -> tuple[str, ...]:
        """Fingerprints of all keys that ever owned ``name``, the present owner last."""

    def owner_shown(self, name: str) -> str:
        """The present owner, for messages."""

    def newest(self, name: str) -> str | None:
        """The highest version that the bare name has meant."""

    def knows(self, bundle: BundleDigest) -> bool:
        """Whether a replica has reported the signer of a bundle."""

    def signer(self, bundle: BundleDigest) -> Signer | None:
        """The signer of a bundle, if one was verified."""


def with_standing(
    entries: Iterable[Entry],
    names: Names,
    refused: AbstractSet[BundleDigest],
    revoked: AbstractSet[PackageDigest],
    is_owned: bool,
) -> tuple[Entry, ...]:
    """The same entries, each with ``withheld`` and ``is_refused`` set.

    refused: bundles that no live replica accepts. is_owned: whether signatures, and so owners, count.
    """
    fresh = [
        replace(entry, is_refused=entry.bundle_digest in refused or entry.package_digest in revoked, withheld=None)
        for entry in entries
    ]
    by_name: dict[str, list[Entry]] = {}
    for entry in fresh:
        if not entry.staged:
            by_name.setdefault(entry.name_key, []).append(entry)
    withheld = {
        id(entry): why for name, group in by_name.items() for entry, why in _withheld(name, group, names, is_owned)
    }
    for entry in fresh:
        if entry.parts and (lost := lost_part(entry, fresh)) is not None:
            withheld.setdefault(id(entry), Refusal(lost.code, lost.message))
    return tuple(replace(entry, withheld=withheld.get(id(entry))) for entry in fresh)


def first_signed(entries: Iterable[Entry], names: Names) -> dict[str, Signer]:
    """The first owner of each name that has none: the signer of its lowest version, of a shipped one if there is any.

    Left out while the signer of such a shipped package is not known yet.
    """
    found: dict[str, Signer] = {}
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.staged and not entry.is_alias and not entry.is_refused:
            by_name.setdefault(entry.name_key, []).append(entry)
    for name, group in by_name.items():
        shipped = [entry for entry in group if entry.shipped]
        signers = [names.signer(entry.bundle_digest) for entry in sorted(shipped or group, key=_version)]
        signer = next((signer for signer in signers if signer is not None), None)
        if signer is not None and not names.owners(name):
            found[name] = signer
    return found


def newest_verified(entries: Sequence[Entry], names: Names) -> dict[str, str]:
    """By name, the version that the bare name means, where it is higher than the recorded one."""
    higher = {}
    for entry in Catalogue("", tuple(entries)).whole.newest():
        if entry.is_good and not entry.is_alias and names.knows(entry.bundle_digest):
            known = names.newest(entry.name_key)
            if known is None or version_key(known) < version_key(entry.version):
                higher[entry.name_key] = entry.version
    return higher


def replaced_by(entry: Entry, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """What leaves when ``entry`` is loaded in the place of its name: all that was loaded under it, of any version.

    Raises Conflict where the name would go on to mean a shipped adapter.
    """
    same_name = [other for other in entries if other.name_key == entry.name_key and not other.staged]
    for other in same_name:
        if other.shipped and other.is_good and version_key(other.version) > version_key(entry.version):
            raise Conflict(
                f"{other.public_name!r} would go on to mean the shipped version {other.version}, not {entry.version}: "
                "unload that one first, or load a higher version",
                code="downgrade",
                param="load_inplace",
            )
    return tuple(other for other in same_name if not other.shipped)


def refuse_conflicting(entry: Entry, entries: Sequence[Entry], names: Names, allow_downgrade: bool) -> None:
    """Raise AdapterExists or Conflict where a new entry must not join these, whatever its signer."""
    if entry.tenant and any(other.name == entry.name and not other.tenant for other in entries):
        raise Conflict(
            f"{_told(entry)} is the name of a public adapter; choose a name that is free",
            code="name_taken",
            param="lora_name",
        )
    same_name = [other for other in entries if other.name_key == entry.name_key and other.withheld is None]
    if entry.is_alias and (names.owners(entry.name_key) or any(not other.is_alias for other in same_name)):
        raise Conflict(
            f"{_told(entry)} is the name of {_another(entry)}; load it under {entry.signed_name!r}, or under a name "
            "that is free",
            code="name_taken",
            param="lora_name",
        )
    for other in same_name:
        if other.is_alias and other.signed_name != entry.signed_name:
            raise Conflict(
                f"{entry.name!r} is at present another name for {other.signed_name!r}; unload it first",
                code="name_taken",
                param="lora_name",
            )
    takes_its_own = entry.signed_name == entry.own_name
    for other in same_name:
        if other.public_name != entry.public_name and not (takes_its_own and other.is_alias):
            raise Conflict(
                f"{_told(entry)} is taken by the adapter {other.public_name!r}, which stands for the same name inside; "
                "choose a name that differs in more than capitals and slashes, or unload that one first",
                code="name_taken",
                param="lora_name",
            )
    for other in same_name:
        if other.identity == entry.identity:
            same = "with the same contents" if other.package_digest == entry.package_digest else "with other contents"
            raise AdapterExists(
                f"adapter {entry.identity!r} is there already, {same}; send load_inplace: true to put this one in its "
                "place, unload it first, or give the new one another version",
                param="lora_name",
            )
    known = names.newest(entry.name_key)
    if allow_downgrade or entry.is_alias or known is None or any(other.is_good for other in same_name):
        return
    if version_key(entry.version) < version_key(known):
        raise Conflict(
            f"{entry.name!r} meant version {known} before; loading {entry.version} would make it mean an older one: "
            f"{DOWNGRADE_HINT}",
            code="downgrade",
            param="allow_downgrade",
        )


def _told(entry: Entry) -> str:
    """Its name for messages, with the one that stands for it inside."""
    return f"{entry.shown!r} ({entry.name!r} inside)" if entry.shown else repr(entry.name)


def _another(entry: Entry) -> str:
    same = entry.signed_name == entry.name
    return "the package itself, in other letters" if same else f"another package, not of {entry.signed_name!r}"


def refuse_foreign(entry: Entry, signer: Signer | None, entries: Sequence[Entry], names: Names) -> None:
    """Raise Conflict where a new entry has a name that its signer does not own.

    Raises AdapterUnavailable where the name may belong to the still unknown signer of a shipped package.
    """
    if entry.is_alias:
        return
    owners = names.owners(entry.name_key)
    if owners and _key(signer) != owners[-1]:
        raise Conflict(_foreign(entry.name_key, names), code="name_owned", param="lora_name")
    shipped = [o for o in entries if o.shipped and o.name_key == entry.name_key and not o.is_refused]
    if not owners and any(not names.knows(other.bundle_digest) for other in shipped):
        raise AdapterUnavailable(
            f"{entry.name!r} is the name of a shipped adapter, and no replica has verified yet whose that is; send the "
            "request again in a moment",
            code="name_unconfirmed",
            param="lora_name",
        )


def refuse_other_contents(entry: Entry, there: Entry | None) -> None:
    """Raise Conflict where an entry is published again with other contents. there: the one of its identity, if any."""
    if there is not None and there.package_digest != entry.package_digest:
        raise Conflict(
            f"adapter {there.identity!r} is published already with other contents (package {there.package_digest}, "
            f"sent {entry.package_digest}); give yours another version",
            code="version_conflict",
        )


def refuse_downgrade(gone: Sequence[Entry], entries: Sequence[Entry], allow_downgrade: bool) -> None:
    """Raise Conflict where removing ``gone`` would let their bare name mean an older version."""
    name, same_name = gone[0].name, [entry for entry in entries if entry.name_key == gone[0].name_key]
    before = View(tuple(same_name)).find(name)
    after = View(tuple(entry for entry in same_name if entry not in gone)).find(name)
    if before is None or after is None or not before.is_good or allow_downgrade:
        return
    if version_key(after.version) < version_key(before.version):
        raise Conflict(
            f"without {before.identity!r}, {name!r} would mean version {after.version}: {DOWNGRADE_HINT}, or unload "
            f"{name!r} to remove every version",
            code="downgrade",
            param="allow_downgrade",
        )


def _withheld(name: str, group: Sequence[Entry], names: Names, is_owned: bool) -> Iterable[tuple[Entry, Refusal]]:
    good = sorted((entry for entry in group if not entry.is_refused and not entry.is_alias), key=_version)
    owners = names.owners(name) if is_owned else ()
    if owners:
        known = [entry for entry in good if names.knows(entry.bundle_digest)]
        counts = counting(owners, [_key(names.signer(entry.bundle_digest)) for entry in known])
        counted = [entry for entry, counts_here in zip(known, counts, strict=True) if counts_here]
        for entry in good:
            if entry not in known:
                why = f"no replica has verified yet who signed {entry.identity!r}; send the request again in a moment"
                yield entry, Refusal("name_unconfirmed", why, is_final=False)
            elif entry not in counted:
                yield entry, Refusal("name_owned", _foreign(name, names))
        good = counted
    seen: dict[str, Entry] = {}
    for entry in sorted(good, key=lambda entry: not entry.shipped):
        if seen.setdefault(entry.identity, entry) is not entry:
            yield entry, Refusal("shadowed", f"the shipped adapter {entry.identity!r} counts, not this copy")
    if good:
        for entry in group:
            if entry.is_alias:
                why = f"{name!r} is the name of a package, no longer another name for {entry.signed_name!r}"
                yield entry, Refusal("name_taken", why)


def _foreign(name: str, names: Names) -> str:
    return (
        f"the name {name!r} belongs to key {names.owner_shown(name)}, and another one signed this; give the adapter "
        f"a name of its own, or have an operator hand the name over: adaptrix trust transfer {name} --to KEY"
    )


def _key(signer: Signer | None) -> str | None:
    return None if signer is None else signer.key


def _version(entry: Entry) -> tuple[int, ...]:
    return version_key(entry.version)


def refused_by_all(
    held: Iterable[Mapping[BundleDigest, object]], refused: Iterable[Mapping[BundleDigest, Refusal]]
) -> set[BundleDigest]:
    """Bundles that at least one replica refuses for good, and none holds."""
    somewhere = {bundle for bundles in held for bundle in bundles}
    return {bundle for refusals in refused for bundle, refusal in refusals.items() if refusal.is_final} - somewhere
