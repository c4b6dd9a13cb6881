"""Who is calibrated: the base model, an adapter, a mix, or a composition that comes to one mix.

Read from a name and checked before a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.errors import InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.adapters import AdapterManager
    from adaptrix_core.adapters.package.manifest import CompositionMetadata
    from adaptrix_core.engine import Engine
    from adaptrix_core.injection.mix import Term

Terms = tuple["Term[str]", ...]
"""A mix by name; empty for the base model."""


def own_family(name: str, terms: Terms) -> str:
    """The family of problems that belongs to a name: that of an adapter which answers alone and as it is, if any."""
    alone = len(terms) == 1 and terms[0].weight == 1.0 and terms[0].layers is None
    return terms[0].adapter.partition("@")[0] if alone else name


def check_packages(manager: AdapterManager, terms: Terms) -> None:
    """Look at every package of a mix, without its tensors: whether it is there and trusted, and is one mix.

    Raises AdapterNotFound, AdapterRejected, InvalidRequest for a composition that is more than one mix.
    """
    from adaptrix_core.adapters.package.contents import package_metadata_of
    from adaptrix_core.adapters.package.manifest import CompositionMetadata

    for term in terms:
        snapshot = manager.snapshot(term.adapter)
        manager.trust.check(snapshot)
        metadata = package_metadata_of(snapshot)
        if isinstance(metadata, CompositionMetadata):
            _check_composition(manager, metadata)


def label_in(engine: Engine, terms: Terms) -> str:
    """The mix for people, with the versions that the engine has loaded; cut off where it is too long for a name."""
    from adaptrix_core.adapters.reference import mix_label
    from adaptrix_core.confidence.calibration import NAME_CHARACTERS

    label = mix_label(term.called(engine.load_adapter(term.adapter).identity) for term in terms)
    return label if len(label) <= NAME_CHARACTERS else f"{label[: NAME_CHARACTERS - 1]}…"


def _check_composition(manager: AdapterManager, metadata: CompositionMetadata) -> None:
    from adaptrix_core.composition.compose import compose
    from adaptrix_core.composition.manifests.checking import part_reports
    from adaptrix_core.composition.nesting import kind_of
    from adaptrix_core.errors import AdapterRejected

    if kind_of(compose(metadata.composition, param="composition")) != "mix":
        raise InvalidRequest(
            f"{metadata.identity} comes to more than one mix, and a calibration is of one; calibrate the adapters or "
            "mixes that it is made of"
        )
    for report in part_reports(manager, metadata):
        for code, message in report.faults:
            raise AdapterRejected(f"{metadata.identity}: its part {report.identity}: {message}", code=code)
