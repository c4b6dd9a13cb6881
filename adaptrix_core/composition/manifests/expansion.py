"""A composition's manifest as one mix of adapters, whatever is nested in it.

Pure: what a nested part's own manifest says is asked of whoever has it, and who also holds it to its digest. Cycles by
name, too many levels and too many parts are refused with the way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.manifest import CompositionMetadata
from adaptrix_core.composition.compose import compose_mix
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.errors import AdapterRejected, AdaptrixError, ExtensionError, InvalidRequest
from adaptrix_core.injection.mix import Term, check_mix

Named = TypeVar("Named")


@dataclass(frozen=True)
class SignedPart:
    """One part as a manifest has it."""

    identity: str
    """``name@version``."""
    package_digest: PackageDigest
    weights_digest: WeightsDigest | None
    """None where it is a composition."""
    within: str
    """Identity of the composition whose part it is, for messages."""


Nested = Callable[[SignedPart], CompositionMetadata]
"""The manifest of a part that is a composition, with exactly the digest that was signed."""


def parts_of(metadata: CompositionMetadata) -> dict[str, SignedPart]:
    """The direct parts, by the name that the composition calls them by."""
    return {
        called: SignedPart(metadata.identity_of(called), part.package_digest, part.weights_digest, metadata.identity)
        for called, part in metadata.parts.items()
    }


def check_composition(metadata: CompositionMetadata, nested: Nested) -> None:
    """Raise as `expanded`, as far as that can be known without the base model's number of layers."""
    list(_Walk(nested, None).terms(metadata, ()))


def expanded(metadata: CompositionMetadata, nested: Nested, num_layers: int) -> tuple[Term[SignedPart], ...]:
    """The composition as terms of adapters (parts with weights), each adapter once.

    The weight of a nested composition multiplies those of its terms, its layers are theirs too, and an adapter that is
    reached several times has the sum of its weights at every layer: the LoRA sum is linear.
    Raises AdapterRejected: cyclic_composition, bad_composition, and what ``nested`` raises.
    """
    terms = _merged(list(_Walk(nested, num_layers).terms(metadata, ())), num_layers)
    try:
        check_mix([term.called(term.adapter.identity) for term in terms], num_layers, is_request=True, param="it")
    except InvalidRequest as error:
        raise _bad(metadata.identity, error) from error
    return terms


def inside(outer: Term[Any], inner: Term[Named]) -> Term[Named]:
    """``inner`` as it acts where ``outer`` stands for the composition that it is a term of.

    Layers are numbers, unless it isn't known how many the base model has: of thirds the outer one is kept then.
    """
    layers = inner.layers if outer.layers is None else outer.layers
    if isinstance(outer.layers, frozenset) and isinstance(inner.layers, frozenset):
        layers = outer.layers & inner.layers
    if outer.gated is not None:
        raise InvalidRequest(
            "a gate weighs adapters, and one of these is a composition; name its adapters", param="gate"
        )
    return replace(inner, weight=_product(outer.weight, inner.weight), layers=layers)


def changed_part(part: SignedPart, found: PackageDigest) -> AdapterRejected:
    """The error for a part whose name now stands for another package."""
    return AdapterRejected(
        f"{part.within}: its part {part.identity} is package {found} here, and {part.package_digest} was signed; bring "
        "that package back, or make and sign a new version of the composition over the present one",
        code="changed_part",
    )


def missing_part(part: SignedPart) -> AdapterRejected:
    """The error for a part that is not there, under its name or any other."""
    return AdapterRejected(
        f"{part.within}: its part {part.identity}, package {part.package_digest}, is not here; publish it first",
        code="missing_part",
    )


class _Walk:
    """One walk down a composition. num_layers: None where no base model says how many there are."""

    def __init__(self, nested: Nested, num_layers: int | None) -> None:
        self._nested = nested
        self._num_layers = num_layers
        self._num_parts = 0

    def terms(self, metadata: CompositionMetadata, path: tuple[str, ...]) -> Iterator[Term[SignedPart]]:
        path = (*path, metadata.identity)
        self._count(metadata, path)
        parts = parts_of(metadata)
        for term in _named_terms(metadata, self._num_layers):
            part = parts[term.adapter]
            if part.identity in path:
                raise AdapterRejected(
                    f"{path[0]} has itself as a part: {' -> '.join((*path, part.identity))}; make it of adapters or of "
                    "compositions that do without it",
                    code="cyclic_composition",
                )
            if part.weights_digest is not None:
                yield term.called(part)
            else:
                yield from (inside(term, inner) for inner in self.terms(self._nested(part), path))

    def _count(self, metadata: CompositionMetadata, path: tuple[str, ...]) -> None:
        limits = DEFAULT_LIMITS
        self._num_parts += len(metadata.parts)
        if len(path) > limits.max_nesting or self._num_parts > limits.max_nested_parts:
            raise AdapterRejected(
                f"{' -> '.join(path)} is {len(path)} compositions deep, with {self._num_parts} parts so far; allowed: "
                f" {limits.max_nesting} and {limits.max_nested_parts}; name the adapters in one composition",
                code="bad_composition",
            )


def _named_terms(metadata: CompositionMetadata, num_layers: int | None) -> tuple[Term[str], ...]:
    """The terms by the parts' names. Every part has one, and no other name has."""
    try:
        terms = compose_mix(metadata.composition, param="composition")
        check_mix(terms, num_layers, is_request=True, param="composition")
    except (InvalidRequest, ExtensionError) as error:
        raise _bad(metadata.identity, error) from error
    used = {term.adapter for term in terms}
    for names, what in (
        (used - metadata.parts.keys(), "names what is not among its parts"),
        (metadata.parts.keys() - used, "has parts that it does not use"),
    ):
        if names:
            listed = ", ".join(sorted(names)[:5])
            raise AdapterRejected(
                f"{metadata.identity}: the composition {what}: {listed}; make it anew with `adaptrix compose`",
                code="bad_composition",
            )
    return terms if num_layers is None else tuple(term.placed(num_layers) for term in terms)


def _product(one: float | tuple[float, ...], other: float | tuple[float, ...]) -> float | tuple[float, ...]:
    if not isinstance(one, tuple) and not isinstance(other, tuple):
        return one * other
    by_layer = zip(_by_layer(one, other), _by_layer(other, one), strict=False)  # lengths are compared by `check_mix`
    return tuple(a * b for a, b in by_layer)


def _by_layer(weight: float | tuple[float, ...], beside: float | tuple[float, ...]) -> tuple[float, ...]:
    if isinstance(weight, tuple):
        return weight
    return (weight,) * (len(beside) if isinstance(beside, tuple) else 1)


def _merged(terms: list[Term[SignedPart]], num_layers: int) -> tuple[Term[SignedPart], ...]:
    by_adapter: dict[PackageDigest, list[Term[SignedPart]]] = {}
    for term in terms:
        if term.layers is None or term.layers:  # else it acts nowhere
            by_adapter.setdefault(term.adapter.package_digest, []).append(term)
    return tuple(_sum(same, num_layers) for same in by_adapter.values())


def _sum(terms: list[Term[SignedPart]], num_layers: int) -> Term[SignedPart]:
    """One term that does what these terms of one adapter do together."""
    first = terms[0]
    if len(terms) == 1:
        return first
    if any(term.gated for term in terms):
        raise AdapterRejected(
            f"{first.adapter.within}: {first.adapter.identity} is under a gate and named once more; name it once",
            code="bad_composition",
        )
    if all(term.layers is None and not isinstance(term.weight, tuple) for term in terms):
        return Term(first.adapter, sum(term.strength for term in terms))
    return Term(first.adapter, tuple(sum(term.weight_at(layer) for term in terms) for layer in range(num_layers)))


def _bad(identity: str, error: AdaptrixError) -> AdapterRejected:
    return AdapterRejected(f"{identity}: this composition cannot be computed: {error.message}", code="bad_composition")
