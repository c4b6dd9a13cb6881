"""The compositions that a replica holds: verified manifests, and what each comes to with the adapters beside them.

Parts are found by the package digests that were signed, in whatever bundle they are held, so nothing else is ever mixed
in. Whether the parts are there is asked anew at every use: they come, go and are revoked by themselves. Knows no files
and loads nothing. One event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.metadata import parse_point
from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.composition.manifests.expansion import (
    SignedPart,
    changed_part,
    composed,
    expanded,
    inside,
    missing_part,
)
from adaptrix_core.composition.manifests.signed_step import SignedStep, canonical
from adaptrix_core.composition.nesting import kind_of
from adaptrix_core.composition.parts import Group, Part
from adaptrix_core.digests import BundleDigest, PackageDigest
from adaptrix_core.errors import AdapterRejected, AdapterUnavailable, AdaptrixError
from adaptrix_core.injection.mix import Term, WantedGate
from adaptrix_core.routing.near_tie import LOAD_COST
from adaptrix_core.sampling import SamplingDefaults, asked_for, explained
from deployments.replica.packages.offers import signer_of
from deployments.shared.entry import Refusal
from deployments.shared.wire import BundleMix, Holding

Wishing = tuple[SamplingDefaults | BundleDigest, float]
"""Sampling defaults, or the adapter whose own ones count, and the weight of whose they are."""


def wishes_of(
    wishing: Iterable[Wishing], adapters: Mapping[BundleDigest, Adapter]
) -> list[tuple[SamplingDefaults | None, float]]:
    """The sampling defaults of those whose count, with their weights."""
    return [
        (whose if isinstance(whose, SamplingDefaults) else adapters[whose].metadata.sampling, weight)
        for whose, weight in wishing
    ]


class Beside(Protocol):
    """The rest of the replica's packages, as a composition needs to know them."""

    def is_at_hand(self, bundle: BundleDigest) -> bool:
        """Whether requests may use a bundle that is held."""

    def is_loading(self, bundle: BundleDigest) -> bool:
        """Whether a bundle is on its way."""

    def check_usable(self, bundle: BundleDigest) -> None:
        """Raise why a bundle cannot be used: refused, revoked, or gone."""

    def require_unrevoked(self, package: PackageDigest | None) -> None:
        """Raise AdapterRejected for a revoked package, and where nothing is known of revocations."""

    def expected(self, package: PackageDigest) -> BundleDigest | None:
        """The bundle in which the catalogue has a package; None where it does not."""

    def package_called(self, identity: str) -> PackageDigest | None:
        """The package that the catalogue has under ``name@version``."""


class HeldCompositions:
    """Compositions by bundle, beside the adapters of one replica."""

    def __init__(self, adapters: Mapping[BundleDigest, Adapter], beside: Beside, num_layers: int) -> None:
        """adapters: those that the replica holds, as they are now. num_layers: of the base model."""
        self._adapters = adapters
        self._beside = beside
        self._num_layers = num_layers
        self._held: dict[BundleDigest, Composition] = {}
        self._found: dict[PackageDigest, BundleDigest] = {}
        """Where each part was found last; looked at first, and again wherever that no longer holds."""

    def __contains__(self, bundle: object) -> bool:
        return bundle in self._held

    def __iter__(self) -> Iterator[BundleDigest]:
        return iter(list(self._held))

    def __getitem__(self, bundle: BundleDigest) -> Composition:
        return self._held[bundle]

    def add(self, bundle: BundleDigest, composition: Composition) -> None:
        """Hold a composition that was verified."""
        self._held[bundle] = composition

    def drop(self, bundle: BundleDigest) -> None:
        """Hold a composition no longer; its parts stay."""
        del self._held[bundle]

    def terms(self, term: Term[BundleDigest]) -> BundleMix:
        """The terms of adapters that ``term`` stands for: itself, unless it names a composition, which is one mix then.

        An adapter that is still being loaded may be among them. Raises AdapterRejected (missing_part, changed_part, and
        as `expanded`), AdapterUnavailable where a nested composition is still being loaded.
        """
        composition = self._held.get(term.adapter)
        if composition is None:
            return (term,)
        terms = expanded(composition, self._nested, self._num_layers)
        placed = term.placed(self._num_layers)
        return tuple(inside(placed, inner.called(self._adapter(inner.adapter))) for inner in terms)

    def part(self, bundle: BundleDigest) -> Part[BundleDigest]:
        """What a held composition comes to, in bundles of adapters, some perhaps still being loaded.

        Raises as `terms`, but for its being more than one mix.
        """
        return composed(self._held[bundle], self._nested, self._num_layers).called(self._adapter)

    def down_to_adapters(
        self, mixes: Sequence[BundleMix], signed: SignedStep | None
    ) -> tuple[Sequence[BundleMix], dict[BundleDigest, BundleDigest]]:
        """The mixes with what the compositions in them come to, and by adapter, the bundle by which they name it: its
        own, or that of a composition.

        signed: the step of a composition whose mixes they are. Raises as `terms` and `step_mixes`.
        """
        if signed is not None:
            found = self.step_mixes(signed)
            return found, {term.adapter: signed.bundle for mix in found for term in mix}
        owners = {term.adapter: term.adapter for mix in mixes for term in mix}
        if not owners.keys() & self._held.keys():
            return mixes, owners
        pairs = [[(term.adapter, one) for term in mix for one in self.terms(term)] for mix in mixes]
        owners = {one.adapter: owner for mix in pairs for owner, one in mix}
        return tuple(tuple(one for _, one in mix) for mix in pairs), owners

    def step_mixes(self, signed: SignedStep) -> tuple[BundleMix, ...]:
        """The mixes of a composition's step, in the order of `GenerateCall.all_mixes`, from its own manifest.

        Raises AdapterNotFound, AdapterRejected where the manifest says something else than the call, and as `part`.
        """
        self._beside.check_usable(signed.bundle)
        composition = self._held[signed.bundle]
        if canonical(composition.metadata.composition) != signed.composition:
            raise AdapterRejected(
                f"{composition.identity}: the catalogue tells of another composition than was signed; publish it again",
                code="bad_composition",
            )
        return self.step(signed).all_mixes

    def step(self, signed: SignedStep) -> Group[BundleDigest]:
        """A composition's step, from its own manifest. Raises as `part`."""
        return signed.of(self.part(signed.bundle))

    def made_of(self, bundles: Iterable[BundleDigest]) -> set[BundleDigest]:
        """Everything that the compositions among these are made of, at any depth: adapters, and other compositions.

        Raises as `part`.
        """
        found: set[BundleDigest] = set()
        open_ones = [bundle for bundle in bundles if bundle in self._held]
        while open_ones:
            bundle = open_ones.pop()
            packages = {part.package_digest for part in self._held[bundle].metadata.parts.values()}
            inner = {other for other, one in self._held.items() if one.package_digest in packages} - found
            found |= inner | {term.adapter for term in self.part(bundle).terms()}
            open_ones += inner
        return found

    def objection(self, bundle: BundleDigest) -> Refusal | None:
        """Why a composition cannot be computed here: a part is missing, is another one, or is refused itself.

        None where it can be, where a part is still being loaded, and for an adapter.
        """
        if bundle not in self._held:
            return None
        try:
            for term in self.part(bundle).terms():
                if not self._beside.is_loading(term.adapter):
                    self._beside.check_usable(term.adapter)
                    self._check_gate(term)
        except AdapterUnavailable:
            return None
        except AdaptrixError as error:
            return Refusal(error.code, error.message)
        return None

    def is_waiting(self, bundle: BundleDigest) -> bool:
        """Whether parts of a composition are still being loaded, so that nothing can be said of it yet."""
        if bundle not in self._held or self.objection(bundle) is not None:
            return False
        try:
            return any(not self._beside.is_at_hand(term.adapter) for term in self.part(bundle).terms())
        except AdapterUnavailable:
            return True

    def holding(
        self, bundle: BundleDigest, residency: Callable[[BundleDigest], Residency], base_sampling: SamplingDefaults
    ) -> Holding:
        """The report on a composition all of whose parts are at hand. It is as far away as the furthest of them.

        residency: of an adapter. base_sampling: of the base model. A composition of several rows or steps has no
        sampling defaults: each of its parts has its own.
        """
        composition, part = self._held[bundle], self.part(bundle)
        places = [residency(term.adapter) for term in part.terms()]
        is_mix = kind_of(part) == "mix"
        return Holding(
            None,
            signer_of(composition),
            max(places, key=LOAD_COST.__getitem__),
            composition.warnings,
            explained(asked_for([wishes_of(self.wishing((Term(bundle),)), self._adapters)]), base_sampling)
            if is_mix
            else {},
        )

    def wishing(self, mix: BundleMix) -> list[Wishing]:
        """Whose sampling defaults count in a mix: a composition's own, where it has any, else those of its adapters,
        some of which may still be being loaded.
        """
        found: list[Wishing] = []
        for term in mix:
            composition = self._held.get(term.adapter)
            if composition is not None and composition.metadata.sampling is not None:
                found.append((composition.metadata.sampling, term.strength))
            else:
                found += [(one.adapter, one.strength) for one in self.terms(term)]
        return found

    def _check_gate(self, term: Term[BundleDigest]) -> None:
        """Raise AdapterRejected (bad_gate) where a learned gate doesn't weigh this adapter as it is."""
        if isinstance(term.gated, WantedGate) and term.gated.learned is not None:
            adapter = self._adapters[term.adapter]
            term.gated.learned.check_fits(adapter.weights_digest, map(parse_point, adapter.metadata.points))

    def _adapter(self, part: SignedPart) -> BundleDigest:
        """The bundle of a part, held or on its way."""
        self._beside.require_unrevoked(part.package_digest)
        known = self._found.get(part.package_digest)
        bundle = next((one for one in (known, *self._adapters) if one is not None and self._is(one, part)), None)
        if bundle is None:
            return self._on_its_way(part)
        self._found[part.package_digest] = bundle
        return bundle

    def _is(self, bundle: BundleDigest, part: SignedPart) -> bool:
        adapter = self._adapters.get(bundle)
        if adapter is None or adapter.package_digest != part.package_digest or not self._beside.is_at_hand(bundle):
            return False
        if adapter.weights_digest != part.weights_digest:
            raise changed_part(part, adapter.package_digest)
        return True

    def _nested(self, part: SignedPart) -> Composition:
        self._beside.require_unrevoked(part.package_digest)
        for composition in self._held.values():
            if composition.package_digest == part.package_digest:
                return composition
        bundle = self._on_its_way(part)
        if not self._beside.is_loading(bundle):
            self._beside.check_usable(bundle)
        raise AdapterUnavailable(
            f"{part.within}: its part {part.identity}, bundle {bundle}, is still being loaded; send the request again"
        )

    def _on_its_way(self, part: SignedPart) -> BundleDigest:
        """The bundle of a part that the catalogue has and this replica does not hold yet."""
        bundle = self._beside.expected(part.package_digest)
        if bundle is not None:
            return bundle
        found = self._beside.package_called(part.identity)
        raise missing_part(part) if found is None else changed_part(part, found)
