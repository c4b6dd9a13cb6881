"""What the server says about itself: models, adapters and whether it is ready. Shapes documents, decides nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from adaptrix_core.errors import AdaptrixError
from deployments.catalogue import Catalogue
from deployments.errors import as_core_error
from deployments.names import AUTO
from deployments.services import Services
from deployments.wire import Entry, Report

PROBE_S = 2.0
"""How long /health waits for the router before it calls it missing."""


async def readiness(services: Services) -> list[str]:
    """What is still missing before requests can be served; empty when ready."""
    missing = []
    try:
        _, reports = await services.store.overview()
        if not reports and not await services.store.is_asleep():
            missing.append("no model replica has reported yet")
    except AdaptrixError as error:
        missing.append(error.message)
    if services.router is not None:
        try:
            async with asyncio.timeout(PROBE_S):
                await services.router.route([{"role": "user", "content": "ready?"}])
        except TimeoutError:
            missing.append("the router is not ready yet")
        except Exception as error:
            missing.append(f"router: {as_core_error(error).message}")
    return missing


def model_list(catalogue: Catalogue, base_id: str, with_auto: bool) -> dict[str, Any]:
    """``GET /v1/models``: the base, ``auto``, each adapter by name, and each older version as ``name@version``."""
    cards = [_card(base_id, base_id, None, 0)]
    if with_auto:
        cards.append(_card(AUTO, AUTO, base_id, 0))
    newest = catalogue.newest()
    cards += [_card(entry.name, entry.identity, base_id, entry.loaded_at) for entry in newest]
    versions = Counter(entry.name for entry in catalogue.servable())
    cards += [
        _card(entry.identity, entry.identity, base_id, entry.loaded_at)
        for entry in catalogue.servable()
        if versions[entry.name] > 1
    ]
    return {"object": "list", "data": cards}


def model_card(model_id: str, catalogue: Catalogue, base_id: str, with_auto: bool) -> dict[str, Any]:
    """``GET /v1/models/{id}``: one card of `model_list`, or of any ``name@version``. Raises AdapterNotFound."""
    if model_id == base_id:
        return _card(base_id, base_id, None, 0)
    if model_id == AUTO and with_auto:
        return _card(AUTO, AUTO, base_id, 0)
    entry = catalogue.find(model_id)
    if entry is None:
        raise catalogue.not_found(model_id, (AUTO, base_id) if with_auto else (base_id,))
    return _card(model_id, entry.identity, base_id, entry.loaded_at)


def adapter_list(catalogue: Catalogue, reports: Sequence[Report]) -> dict[str, Any]:
    """``GET /v1/adapters``: every adapter, where it is on each replica, and each replica's cut (0: it has none)."""
    data = [_adapter(entry, reports) for entry in catalogue.servable()]
    cuts = {report.replica_id: int(report.stats["cut"]) for report in reports}
    return {"object": "list", "data": data, "replicas": sorted(cuts), "cut": cuts}


def _adapter(entry: Entry, reports: Sequence[Report]) -> dict[str, Any]:
    held = {r.replica_id: r.held[entry.package] for r in reports if entry.package in r.held}
    refused = {r.replica_id: r.refused[entry.package] for r in reports if entry.package in r.refused}
    first = next(iter(held.values()), None)
    residency = {r.replica_id: held[r.replica_id].residency if r.replica_id in held else "absent" for r in reports}
    return {
        "object": "adaptrix.adapter",
        "name": entry.name,
        "version": entry.version,
        "description": entry.description,
        "digest": entry.package,
        "weights_digest": first.weights_digest if first else None,
        "signer": first.signer if first else None,
        "warnings": list(first.warnings) if first else [],
        "shipped": entry.shipped,
        "loaded_at": entry.loaded_at,
        "residency": residency,
        "refused": {replica: {"code": r.code, "message": r.message} for replica, r in refused.items()},
    }


def _card(model_id: str, root: str, parent: str | None, created: int) -> dict[str, Any]:
    return {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "adaptrix",
        "root": root,
        "parent": parent,
        "permission": [],
    }
