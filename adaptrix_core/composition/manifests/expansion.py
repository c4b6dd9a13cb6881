"""What a composition's manifest comes to in adapters, whatever is nested in it.

Pure: what a nested part's own manifest says is asked of whoever has it, and who also holds it to its digest. Cycles by
name, too many levels and too many parts are refused with the way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.manifest import CompositionMetadata
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.nesting import kind_of
from adaptrix_core.composition.parts import Group, Part, Steps
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.errors import AdapterRejected, AdaptrixError, ExtensionError, InvalidRequest
from adaptrix_core.injection.mix import Term, WantedGate, check_mix

if TYPE_CHECKING:
    from adaptrix_core.injection.gate import Gated
    from adaptrix_core.injection.learned_gate import LearnedGate

Named = TypeVar("Named")
Mix = tuple[Term[Named], ...]


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


class Composed(Protocol):
    """A composition as far as it is expanded: `Composition` is one."""

    @property
    def metadata(self) -> CompositionMetadata:
        """Its manifest."""

    @property
    def gate(self) -> LearnedGate | None:
        """Its learned gate, where the manifest has one."""


@dataclass(frozen=True)
class Unread:
    """A composition that was not loaded for a base model: enough to check it, and to see what it comes to."""

    metadata: CompositionMetadata
    gate: LearnedGate | None = None


Nested = Callable[[SignedPart], Composed]
"""A part that is a composition, with exactly the digest that was signed."""


def parts_of(metadata: CompositionMetadata) -> dict[str, SignedPart]:
    """The direct parts, by the name that the composition calls them by."""
    return {
        called: SignedPart(metadata.identity_of(called), part.package_digest, part.weights_digest, metadata.identity)
        for called, part in metadata.parts.items()
    }


def check_composition(metadata: CompositionMetadata, nested: Nested) -> None:
    """Raise as `composed`, as far as that can be known without the base model's number of layers."""
    _Walk(nested, None).part(Unread(metadata))


def composed(composition: Composed, nested: Nested, num_layers: int) -> Part[SignedPart]:
    """What the composition comes to, in adapters (parts with weights), each of them once in a mix.

    A part that is a composition itself has to come to one mix. Its weight multiplies those of its terms, its layers are
    theirs too, and an adapter that is reached several times has the sum of its weights at every layer: the LoRA sum is
    linear. Raises AdapterRejected: cyclic_composition, bad_composition, and what ``nested`` raises.
    """
    return _Walk(nested, num_layers).part(composition)


def expanded(composition: Composed, nested: Nested, num_layers: int) -> tuple[Term[SignedPart], ...]:
    """As `composed`, of a composition that comes to one mix; others are refused (bad_composition)."""
    return _mix_of(composition.metadata.identity, composed(composition, nested, num_layers))


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

    def part(self, composition: Composed) -> Part[SignedPart]:
        """What the outermost composition comes to."""
        metadata = composition.metadata
        path = self._enter(metadata, ())
        part = _named_part(metadata)
        return _with_mixes(part, lambda mix: self._whole_mix(composition, mix, path), partial(_subject, metadata))

    def _whole_mix(self, composition: Composed, mix: Mix[str], path: tuple[str, ...]) -> Mix[SignedPart]:
        """A mix of the outermost composition; the empty one is the base model's."""
        if not mix:
            return ()
        terms = list(self._terms(composition, mix, path))
        if self._num_layers is None:
            return tuple(terms)
        whole = _merged(terms, self._num_layers)
        _check(composition.metadata, [term.called(term.adapter.identity) for term in whole], self._num_layers)
        return whole

    def _terms(self, composition: Composed, mix: Mix[str], path: tuple[str, ...]) -> Iterator[Term[SignedPart]]:
        metadata = composition.metadata
        _check(metadata, mix, self._num_layers)
        parts = parts_of(metadata)
        for named in mix:
            term, part = named if self._num_layers is None else named.placed(self._num_layers), parts[named.adapter]
            if part.identity in path:
                raise AdapterRejected(
                    f"{path[0]} has itself as a part: {' -> '.join((*path, part.identity))}; make it of adapters or of "
                    "compositions that do without it",
                    code="cyclic_composition",
                )
            if part.weights_digest is not None:
                yield replace(term.called(part), gated=_gate_in(composition, term))
                continue
            inner = self._nested(part)
            further = self._enter(inner.metadata, path)
            mix_inside = _mix_of(inner.metadata.identity, _named_part(inner.metadata))
            yield from (inside(term, one) for one in self._terms(inner, mix_inside, further))

    def _enter(self, metadata: CompositionMetadata, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path with one more composition. Raises AdapterRejected for too many levels or parts."""
        path, limits = (*path, metadata.identity), DEFAULT_LIMITS
        self._num_parts += len(metadata.parts)
        if len(path) > limits.max_nesting or self._num_parts > limits.max_nested_parts:
            raise AdapterRejected(
                f"{' -> '.join(path)} is {len(path)} compositions deep, with {self._num_parts} parts so far; allowed: "
                f"{limits.max_nesting} and {limits.max_nested_parts}; name the adapters in one composition",
                code="bad_composition",
            )
        return path


def _named_part(metadata: CompositionMetadata) -> Part[str]:
    """The composition by the parts' names. Every part is used, and nothing else is."""
    try:
        part = compose(metadata.composition, param="composition")
    except (InvalidRequest, ExtensionError) as error:
        raise _bad(metadata.identity, error) from error
    used = {term.adapter for term in part.terms()}
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
    _check_gate(metadata, part)
    if metadata.sampling is not None and not _is_mix(part):
        raise AdapterRejected(
            f"{metadata.identity}: sampling defaults are for a composition that is one mix, and this one is "
            f"{kind_of(part)}; leave them to its parts",
            code="bad_composition",
        )
    return part


def _check_gate(metadata: CompositionMetadata, part: Part[str]) -> None:
    """Raise AdapterRejected unless a learned gate is used, as it was learned: over all parts, by its own rule."""
    if metadata.gate is None:
        return
    gates = {term.gated and replace(term.gated, place=0) for term in part.terms()} if _is_mix(part) else set()
    gate = gates.pop() if len(gates) == 1 else None
    if not isinstance(gate, WantedGate) or set(gate.names) != metadata.parts.keys():
        raise AdapterRejected(
            f"{metadata.identity} has a learned gate, and its composition is not one gate over all of its parts; write "
            '{"parallel": [names], "combine": "gate"}, or leave the gate out',
            code="bad_composition",
        )
    if (gate.top_k, gate.temperature) != (None, 1.0):
        raise AdapterRejected(
            f"{metadata.identity}: top_k and temperature are Arrow's, and this gate was learned with its own; leave "
            "them out",
            code="bad_composition",
        )


def _gate_in(composition: Composed, term: Term[str]) -> Gated | WantedGate | None:
    """The gate of a term: of adapters by their identities, which are unique over nested compositions."""
    if not isinstance(term.gated, WantedGate):
        return term.gated
    names = tuple(map(composition.metadata.identity_of, term.gated.names))
    return replace(term.gated, names=names, learned=composition.gate)


def _is_mix(part: Part[Any]) -> bool:
    return isinstance(part, Group) and part.is_plain


def _mix_of(identity: str, part: Part[Named]) -> Mix[Named]:
    if isinstance(part, Group) and part.is_plain:
        return part.mix
    raise AdapterRejected(
        f"{identity}: a composition that is {kind_of(part)} is not one mix, which is wanted here",
        code="bad_composition",
    )


def _subject(metadata: CompositionMetadata, name: str) -> SignedPart:
    """The adapter that a question may be about. Raises AdapterRejected for a composition."""
    part = parts_of(metadata)[name]
    if part.weights_digest is None:
        raise AdapterRejected(
            f"{metadata.identity}: a rule is about {name!r}, which is a composition; name one of its adapters there",
            code="bad_composition",
        )
    return part


def _with_mixes(
    part: Part[str], change: Callable[[Mix[str]], Mix[SignedPart]], subject: Callable[[str], SignedPart]
) -> Part[SignedPart]:
    """The same composition with other mixes. subject: the adapter that a question may be about."""

    def group(one: Group[str]) -> Group[SignedPart]:
        return Group(tuple(row.under(change, subject) for row in one.rows), one.combine, one.samples)

    return Steps(tuple(map(group, part.groups)), part.plan) if isinstance(part, Steps) else group(part)


def _check(metadata: CompositionMetadata, mix: Sequence[Term[str]], num_layers: int | None) -> None:
    try:
        check_mix(mix, num_layers, is_request=True, param="composition")
    except InvalidRequest as error:
        raise _bad(metadata.identity, error) from error


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
