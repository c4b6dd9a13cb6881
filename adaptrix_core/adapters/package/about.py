"""A package's own description, for people who choose between adapters: layers, rank, size, licence, quality.

Unverified: it is to be shown together with the package's signer.
"""

from __future__ import annotations

from typing import Any

from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.manifest import CompositionMetadata, parse_package
from adaptrix_core.adapters.package.snapshot import Snapshot


def about_package(snapshot: Snapshot) -> dict[str, Any]:
    """``size_bytes`` of all files; ``metadata``, which is metadata.json without its points; ``num_points``.

    A PEFT directory has no description: its metadata is None. A composition has no points.
    Raises AdapterRejected (bad_metadata).
    """
    size = sum(map(len, snapshot.files.values()))
    data = snapshot.files.get(METADATA_FILE)
    if data is None:
        return {"size_bytes": size, "num_points": None, "metadata": None}
    metadata = parse_package(data, snapshot.origin)
    if isinstance(metadata, CompositionMetadata):
        return {"size_bytes": size, "num_points": None, "metadata": metadata.model_dump(mode="json")}
    said = metadata.model_dump(mode="json", exclude={"points"})
    return {"size_bytes": size, "num_points": len(metadata.points), "metadata": said}
