"""``/v1/revocations``: the signed list in force, and the next one. Translates only; the store decides."""

from __future__ import annotations

import base64
from hashlib import sha256

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.trust.revocation import RevocationList, parse_list
from deployments.http.description.adapter_endpoints import REVOCATIONS, REVOKE
from deployments.http.endpoint import authorized, body_of
from deployments.http.observe.audited import administered
from deployments.http.services import Services
from deployments.openai.schemas import RevocationRequest


def revocation_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    @app.get("/v1/revocations", **REVOCATIONS)
    async def current(request: Request) -> Response:
        authorized(request, services, "operate")
        files = await services.store.revocation_list()
        known = RevocationList() if files is None else parse_list(files)
        return JSONResponse(
            {
                "object": "adaptrix.revocations",
                "number": known.number,
                "revoked": dict(known.revoked),
                "revocations": None if files is None else base64.b64encode(files[REVOCATIONS_FILE]).decode(),
                "signature": None if files is None else base64.b64encode(files[SIGNATURE_FILE]).decode(),
            }
        )

    @app.post("/v1/revocations", **REVOKE)
    async def publish(request: Request) -> Response:
        authorized(request, services, "operate")
        body = await body_of(request, services, RevocationRequest)
        files = {REVOCATIONS_FILE: body.revocations, SIGNATURE_FILE: body.signature}
        list_sha256 = sha256(body.revocations).hexdigest()
        async with administered(request, services.audit, "adapters.revoke", "list", list_sha256=list_sha256) as act:
            outcome = await services.store.revoke(files)
            act.details["number"] = outcome.number
        await services.store.refresh()  # names may now mean other versions
        return JSONResponse(
            {
                "object": "adaptrix.revocations",
                "number": outcome.number,
                "confirmed": list(outcome.confirmed),
                "waiting": list(outcome.waiting),
            }
        )
