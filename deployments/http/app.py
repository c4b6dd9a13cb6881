"""The HTTP API: OpenAI's endpoints, vLLM's adapter endpoints, and ours. Each endpoint only translates.

Knows paths, headers and statuses. `generation/resolve.py` finds who answers; faults of a request are found by
`bodies.py`, `generation/model_names.py` and the core.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.extensions import COMPOSITION_STRATEGIES, CONFIDENCE_ESTIMATORS, ENDPOINT_GROUPS
from deployments.anthropic.errors import error_of, is_anthropics
from deployments.audit.trail import AuditTrail
from deployments.http.description.document import describing_endpoints
from deployments.http.endpoints.adapters import adapter_endpoints
from deployments.http.endpoints.batches import batch_endpoints
from deployments.http.endpoints.conversations import conversation_endpoints
from deployments.http.endpoints.files import file_endpoints
from deployments.http.endpoints.generation import generation_endpoints
from deployments.http.endpoints.loading import loading_endpoints
from deployments.http.endpoints.messages import message_endpoints
from deployments.http.endpoints.responses import responses_endpoints
from deployments.http.endpoints.revocations import revocation_endpoints
from deployments.http.endpoints.router import router_endpoints
from deployments.http.endpoints.status import status_endpoints
from deployments.http.endpoints.tokens import token_endpoints
from deployments.http.errors import error_response
from deployments.http.guard import Guard
from deployments.http.keys.endpoints import key_endpoints
from deployments.http.observe.audited import note_refusal
from deployments.http.pages import OpenToPages
from deployments.http.refusals.endpoints import reason_against
from deployments.http.services import Services
from deployments.http.usage.endpoints import usage_endpoints
from deployments.shared.catalogue import shortened
from deployments.shared.errors import RAY_ERRORS

logger = logging.getLogger(__name__)

ENDPOINTS = (
    generation_endpoints,
    responses_endpoints,
    conversation_endpoints,
    message_endpoints,
    token_endpoints,
    router_endpoints,
    adapter_endpoints,
    loading_endpoints,
    revocation_endpoints,
    key_endpoints,
    file_endpoints,
    batch_endpoints,
    usage_endpoints,
    status_endpoints,
)
"""The server's own groups of endpoints, in the order of the API's description."""


def build_api(services: Services) -> ASGIApp:
    """The application, over ``services``."""
    for point in (COMPOSITION_STRATEGIES, CONFIDENCE_ESTIMATORS):
        point.load_all()  # now, as imports in the midst of a request would hold up all others
    app = FastAPI(title="Adaptrix", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _handle_errors(app, services.audit)
    # Those of other packages come last: of two endpoints with one path, the first one answers.
    for add_to in (*ENDPOINTS, *map(ENDPOINT_GROUPS.get, services.settings.extensions.endpoint_groups)):
        add_to(app, services)
    describing_endpoints(app)
    origins = services.settings.security.cors_origins
    guarded = Guard(app, services.metrics, services.keys.enabled, frozenset(origins) - {"*"})
    # In front of the guard: a browser asks before the request without a key, and errors are for pages too.
    return OpenToPages(guarded, origins) if origins else guarded


def _handle_errors(app: FastAPI, audit: AuditTrail) -> None:
    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        asked = f"{request.method} {shortened(request.url.path)}"
        reason = reason_against(request.url.path)
        instead = reason or "see GET /docs, or GET /v1/models to begin"
        message = f"{asked} is not an endpoint of this server{':' if reason else ';'} {instead}"
        if is_anthropics(request.url.path):
            return JSONResponse(error_of(error.status_code, message), error.status_code, error.headers)
        document = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        return JSONResponse({"error": document}, error.status_code, error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        note_refusal(request, audit, error)
        response = error_response(error, request.url.path)
        if response.status_code == 500:
            logger.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return response

    for kind in (AdaptrixError, OSError, *RAY_ERRORS):
        app.add_exception_handler(kind, failed)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, failed)
