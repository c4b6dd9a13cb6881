"""The compositions of one engine, by name: loaded, verified, and their parts held to what was signed.

A composition is verified once, when its name is first used, and means the same until it is unloaded, as an adapter's
does. Its parts are adapters of the loader and are compared with the signed digests at every use: another package under
a part's name is refused, never mixed in.
"""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.adapters.reference import without_latest
from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.adapters.sources.opening import is_location
from adaptrix_core.composition.manifests.expansion import (
    SignedPart,
    changed_part,
    composed,
    expanded,
    inside,
    missing_part,
)
from adaptrix_core.composition.parts import Group, Part
from adaptrix_core.errors import AdapterExists, AdapterNotFound
from adaptrix_core.injection.mix import Term


class LoadedCompositions:
    """The compositions beside the adapters of a `DynamicLoader`. Any thread may call any method, as there."""

    def __init__(self, manager: AdapterManager, loader: DynamicLoader) -> None:
        self._manager = manager
        self._loader = loader
        self._named: dict[str, Composition] = {}

    def load(self, source: str | Path, alias: str | None = None) -> Composition | None:
        """Make a composition usable by its name, or as ``alias``, with all parts; None where ``source`` is an adapter.

        Raises AdapterNotFound, AdapterRejected (also for a part that is missing or another one), AdapterExists.
        """
        name = None if is_location(source) or alias is not None else without_latest(str(source))
        known = None if name is None else self._find(name)
        if known is not None:
            return known
        if name is not None and self._loader.is_loaded(name):
            return None
        if not self._manager.may_be_composition(source):
            return None
        package = self._manager.load_package(source)
        if not isinstance(package, Composition):
            return None
        self._check_name(alias or name or package.name, package)
        self._signed(package)
        self._named[alias or name or package.name] = package
        return package

    def adapters_of(self, term: Term[str], composition: Composition) -> list[tuple[Term[str], Adapter]]:
        """The terms by name that ``term`` of this composition stands for, with their adapters, loaded.

        Raises AdapterRejected: missing_part, changed_part, and as `expanded`.
        """
        layers = self._manager.require_base().info.num_layers
        found = []
        for inner in expanded(composition, self._nested, layers):
            adapter = self._adapter(inner.adapter)
            found.append((inside(term.placed(layers), inner.called(inner.adapter.identity)), adapter))
        return found

    def part(self, name: str) -> Part[str] | None:
        """What a composition that is more than one mix comes to, by ``name@version`` of adapters, which are loaded.

        None for a composition that is one mix, and for an adapter. Raises as `load`.
        """
        composition = self.load(name)
        part = None if composition is None else self._signed(composition)
        if part is None or (isinstance(part, Group) and part.is_plain):
            return None
        return part.called(lambda signed: signed.identity)

    def _signed(self, composition: Composition) -> Part[SignedPart]:
        """What a composition comes to, its adapters loaded and held to their digests."""
        part = composed(composition, self._nested, self._manager.require_base().info.num_layers)
        for term in part.terms():
            self._adapter(term.adapter)
        return part

    def unload(self, name: str) -> bool:
        """Forget a composition, whose parts stay loaded; False where no composition has this name."""
        key = next(
            (key for key, known in tuple(self._named.items()) if without_latest(name) in (key, known.identity)), None
        )
        return key is not None and self._named.pop(key, None) is not None

    def is_taken(self, name: str) -> bool:
        """Whether a composition is loaded under exactly this name."""
        return name in self._named

    def _find(self, name: str) -> Composition | None:
        found = self._named.get(name)
        return found or next((known for known in tuple(self._named.values()) if known.identity == name), None)

    def _check_name(self, name: str, package: Composition) -> None:
        known = self._named.get(name)
        in_use = known is not None and known.package_digest != package.package_digest
        if in_use or self._loader.is_loaded(name):
            raise AdapterExists(f"name {name!r} is in use for something else; unload it first or choose another name")

    def _adapter(self, part: SignedPart) -> Adapter:
        try:
            adapter = self._loader.load(part.identity)
        except AdapterNotFound as error:
            raise missing_part(part) from error
        _require_signed(part, adapter)
        return adapter

    def _nested(self, part: SignedPart) -> Composition:
        composition = self._find(part.identity)
        if composition is None:
            try:
                package = self._manager.load_package(part.identity)
            except AdapterNotFound as error:
                raise missing_part(part) from error
            if not isinstance(package, Composition):
                raise changed_part(part, package.package_digest)
            composition = package
        _require_signed(part, composition)
        return composition


def _require_signed(part: SignedPart, package: Adapter | Composition) -> None:
    weights_digest = None if isinstance(package, Composition) else package.weights_digest
    if (package.package_digest, weights_digest) != (part.package_digest, part.weights_digest):
        raise changed_part(part, package.package_digest)
