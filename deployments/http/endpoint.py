"""Shared by endpoints: authorisation, and reading of bodies and of the store's overview."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Request

from deployments.callers.key_ring import authorization_of
from deployments.callers.principal import Principal
from deployments.callers.scopes import Scope
from deployments.http.bodies import read_document
from deployments.http.observe.audited import CALLER
from deployments.http.services import Services
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import NotReady
from deployments.shared.wire import Report

logger = logging.getLogger(__name__)


def authorized(request: Request, services: Services, scope: Scope) -> Principal:
    """The caller. Raises Unauthorized, or Forbidden without the scope."""
    principal = services.keys.identify(authorization_of(request.headers))
    request.scope[CALLER] = principal
    principal.require(scope)
    return principal


async def body_of(request: Request, services: Services, model: type[Any]) -> Any:
    """The request's body as a ``model``. Raises InvalidRequest."""
    return await read_document(request, services.settings.security, model)


async def overview(services: Services) -> tuple[Catalogue, list[Report]]:
    """The catalogue and the replicas' reports; while the store is down, the catalogue seen last and no reports."""
    try:
        return await services.store.overview()
    except NotReady as error:
        logger.warning("the replicas' reports cannot be had: %s", error.message)
        return services.store.catalogue, []
