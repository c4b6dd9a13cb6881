"""Makes a composition's manifest from adapters of a catalogue.

Every part has to pass the checks of a load that need no base model, under the trust policy of the catalogue, and all of
them have to be made for one base model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package.contents import package_metadata_of
from adaptrix_core.adapters.package.manifest import CompositionMetadata, PartMetadata
from adaptrix_core.adapters.package.metadata import AdapterMetadata, BaseIdentity
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.manifests.checking import nested_part
from adaptrix_core.composition.manifests.expansion import check_composition
from adaptrix_core.errors import AdapterRejected


def made(manager: AdapterManager, name: str, composition: Mapping[str, Any], **fields: Any) -> CompositionMetadata:
    """The manifest of ``composition`` over the catalogue's present packages. fields: more of `CompositionMetadata`.

    Raises InvalidRequest for what no strategy understands, AdapterNotFound for an unknown part, AdapterRejected for one
    that could not be loaded, for parts of different base models, and for fields that are not allowed (bad_metadata).
    """
    parts: dict[str, PartMetadata] = {}
    bases: dict[str, BaseIdentity] = {}
    for called in dict.fromkeys(term.adapter for term in compose(composition, param="composition").terms()):
        snapshot = manager.snapshot(called)
        manager.trust.check(snapshot)
        known = package_metadata_of(snapshot)
        weights = known.weights_digest if isinstance(known, AdapterMetadata) else None
        parts[called] = PartMetadata(
            version=known.version, package_digest=snapshot.package_digest, weights_digest=weights
        )
        bases[called] = known.base
    _require_one_base(bases)
    values = {"name": name, "base": next(iter(bases.values())), "composition": dict(composition), "parts": parts}
    try:
        metadata = CompositionMetadata.model_validate({**values, **fields})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'fields'}: {e['msg']}" for e in error.errors()[:8])
        raise AdapterRejected(f"{name}: cannot make a composition: {faults}", code="bad_metadata") from error
    check_composition(metadata, lambda part: nested_part(manager, part))
    return metadata


def _require_one_base(bases: Mapping[str, BaseIdentity]) -> None:
    first, *others = bases.items()
    for called, base in others:
        if (base.lineage, base.signature) != (first[1].lineage, first[1].signature):
            raise AdapterRejected(
                f"{first[0]} is made for {first[1].lineage!r} and {called} for {base.lineage!r}; a composition's parts "
                "are adapters of one base model",
                code="base_mismatch",
            )
