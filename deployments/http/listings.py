"""The server's listings: models, adapters, readiness. Builds documents, decides nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from adaptrix_core.adapters.reference import AUTO
from adaptrix_core.errors import AdaptrixError
from deployments.http.services import Services
from deployments.shared.catalogue import View
from deployments.shared.entry import Entry
from deployments.shared.errors import as_core_error
from deployments.shared.wire import Report, Sampling

PROBE_S = 2.0
"""Seconds that /health waits for the router before it reports it as missing."""


async def readiness(services: Services) -> list[str]:
    """The parts that are still missing before requests can be served; empty when ready."""
    missing = []
    try:
        _, reports = await services.store.overview()
        if not reports and not await services.store.is_asleep():
            missing.append("no model replica is there yet")
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


class ModelCards:
    """``GET /v1/models``: the names that clients may use, each with its sampling defaults."""

    def __init__(self, view: View, base_id: str, with_auto: bool, reports: Sequence[Report]) -> None:
        self._view = view
        self._base_id = base_id
        self._with_auto = with_auto
        self._reports = reports
        self._context_length = min((report.context_length for report in reports), default=None)

    def all(self) -> dict[str, Any]:
        """The base, ``auto``, each adapter by name, and each older version as ``name@version``."""
        cards = [self._base()]
        if self._with_auto:
            cards.append(self._auto())
        cards += [self._adapter(entry.public_name, entry) for entry in self._view.newest()]
        versions = Counter(entry.name_here for entry in self._view.servable())
        cards += [
            self._adapter(entry.identity, entry) for entry in self._view.servable() if versions[entry.name_here] > 1
        ]
        return {"object": "list", "data": cards}

    def one(self, model_id: str) -> dict[str, Any]:
        """One card, also of any ``name@version``. Raises AdapterNotFound."""
        if model_id == self._base_id:
            return self._base()
        if model_id == AUTO and self._with_auto:
            return self._auto()
        entry = self._view.find(model_id)
        if entry is None:
            others = (AUTO, self._base_id) if self._with_auto else (self._base_id,)
            raise self._view.not_found(model_id, others)
        return self._adapter(model_id, entry)

    def _base(self) -> dict[str, Any]:
        sampling = next((report.sampling for report in self._reports), None)
        return {**self._card(self._base_id, self._base_id, None, 0), "sampling": _sampling(sampling)}

    def _auto(self) -> dict[str, Any]:
        return {**self._card(AUTO, AUTO, self._base_id, 0), "sampling": None}  # those of the adapter that is chosen

    def _adapter(self, model_id: str, entry: Entry) -> dict[str, Any]:
        holding = next((r.held[entry.bundle_digest] for r in self._reports if entry.bundle_digest in r.held), None)
        sampling = None if holding is None else holding.sampling
        card = self._card(model_id, entry.place or entry.identity, self._base_id, entry.loaded_at)
        return {**card, "sampling": _sampling(sampling)}

    def _card(self, model_id: str, root: str, parent: str | None, created: int) -> dict[str, Any]:
        return {
            "id": model_id,
            "object": "model",
            "created": created,
            "owned_by": "adaptrix",
            "root": root,
            "parent": parent,
            "max_model_len": self._context_length,
            "permission": [],
        }


def adapter_list(view: View, reports: Sequence[Report]) -> dict[str, Any]:
    """``GET /v1/adapters``: every adapter with its residency by replica, and each replica's cut (0: none).

    ``unloaded``: shipped adapters that are not served because they were unloaded.
    """
    data = [adapter_entry(entry, reports) for entry in view.listed()]
    cuts = {report.replica_id: int(report.stats["cut"]) for report in reports}
    documents = {"object": "list", "data": data, "replicas": sorted(cuts), "cut": cuts}
    return {**documents, "unloaded": list(view.unloaded)}


def adapters_now(view: View) -> dict[str, Any]:
    """SGLang's answer to a load or an unload: every adapter that is served now, and where it is from."""
    served = {entry.public_name: entry.place or entry.identity for entry in view.newest()}
    return {"success": True, "error_message": "", "loaded_adapters": served}


def adapter_entry(entry: Entry, reports: Sequence[Report]) -> dict[str, Any]:
    """One entry of `adapter_list`."""
    held = {r.replica_id: r.held[entry.bundle_digest] for r in reports if entry.bundle_digest in r.held}
    refused = {r.replica_id: r.refused[entry.bundle_digest] for r in reports if entry.bundle_digest in r.refused}
    first = next(iter(held.values()), None)
    stands_for = f"{entry.signed_name}@{entry.version}" if entry.is_alias else None
    withheld = None if entry.withheld is None else {"code": entry.withheld.code, "message": entry.withheld.message}
    residency = {r.replica_id: held[r.replica_id].residency if r.replica_id in held else "absent" for r in reports}
    return {
        "object": "adaptrix.adapter",
        "name": entry.public_name,
        "version": entry.version,
        "description": entry.description,
        "digest": entry.package_digest,
        "bundle": entry.bundle_digest,
        "weights_digest": first.weights_digest if first else None,
        "signer": first.signer.name if first and first.signer else None,
        "warnings": list(first.warnings) if first else [],
        "sampling": _sampling(first.sampling if first else None),
        "parts": [{"name": name, "package_digest": package_digest} for name, package_digest in entry.parts],
        "shipped": entry.shipped,
        "visibility": "shared" if entry.shared_with else "private" if entry.tenant else "public",
        "tenant": entry.tenant or None,
        "shared_with": list(entry.shared_with),
        "alias_of": stands_for,
        "withheld": withheld,
        "loaded_at": entry.loaded_at,
        "residency": residency,
        "refused": {replica: {"code": r.code, "message": r.message} for replica, r in refused.items()},
    }


def _sampling(explained: Sampling | None) -> dict[str, Any] | None:
    """The sampling defaults as reported by replicas that have verified the adapter; None where none has yet."""
    return None if explained is None else {name: {"value": v, "from": who} for name, (v, who) in explained.items()}
