"""Who is chosen by name, loaded: the adapters of a choice, their mix, and how they ask to be sampled."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.adapters import Adapter, DynamicLoader
from adaptrix_core.adapters.package.metadata import PackageMetadata
from adaptrix_core.composition.manifests.loaded import LoadedCompositions
from adaptrix_core.engine.choices import AdapterChoice, terms_of
from adaptrix_core.injection.mix import Mix, Term, check_mix
from adaptrix_core.injection.wanted_gates import with_gates
from adaptrix_core.sampling import SamplingDefaults, asked_for


class ChosenAdapters:
    """The adapters and compositions of one engine. Its methods load what is not loaded, and raise AdapterNotFound."""

    def __init__(self, loader: DynamicLoader, compositions: LoadedCompositions, num_layers: int) -> None:
        """num_layers: of the base model."""
        self._loader = loader
        self._compositions = compositions
        self._num_layers = num_layers

    def of(self, choice: AdapterChoice) -> list[tuple[Term[str], Adapter]]:
        """The terms of a choice and their adapters. Raises InvalidRequest for a weight."""
        return [found for term in self._checked_terms(choice) for found in self._adapters_of(term)]

    def mix(self, choice: AdapterChoice) -> Mix:
        """The mix of their current weights."""
        chosen = self.of(choice)
        weights = {adapter.weights_digest: adapter.weights for _, adapter in chosen}
        return with_gates(tuple(term.called(adapter.weights_digest) for term, adapter in chosen), weights.__getitem__)

    def sampling(self, choices: Iterable[AdapterChoice]) -> SamplingDefaults | None:
        """The sampling defaults that they ask for; several choices are a fork."""
        return asked_for(
            [wish for term in self._checked_terms(choice) for wish in self._wishes(term)] for choice in choices
        )

    def metadata(self, name: str) -> PackageMetadata:
        """What an adapter or a composition says of itself."""
        return (self._compositions.load(name) or self._loader.load(name)).metadata

    def _wishes(self, term: Term[str]) -> list[tuple[SamplingDefaults | None, float]]:
        """The sampling defaults behind a term: a composition's own, where it has any, else those of its parts."""
        composition = self._compositions.load(term.adapter)
        if composition is not None and composition.metadata.sampling is not None:
            return [(composition.metadata.sampling, term.strength)]
        return [(adapter.metadata.sampling, found.strength) for found, adapter in self._adapters_of(term)]

    def _checked_terms(self, choice: AdapterChoice) -> tuple[Term[str], ...]:
        terms = terms_of(choice)
        check_mix(terms, self._num_layers, param="adaptrix.mix")
        return terms

    def _adapters_of(self, term: Term[str]) -> list[tuple[Term[str], Adapter]]:
        """The term with its adapter, or where it names a composition, those that it comes to."""
        composition = self._compositions.load(term.adapter)
        if composition is None:
            return [(term, self._loader.load(term.adapter))]
        return self._compositions.adapters_of(term, composition)
