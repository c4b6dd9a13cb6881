"""``/v1/usage`` and ``/v1/usage/live``: figures of requests. Translates only; the tracker answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.observe.tracker.costs import cost_document, cost_question, cost_rows, told
from adaptrix_core.observe.tracker.documents import BUCKET_WIDTHS, live_document, usage_document
from adaptrix_core.observe.tracker.prices import read_prices
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion
from deployments.http.endpoint import authorized
from deployments.http.services import Services, UsageFigures
from deployments.http.usage.description import USAGE, USAGE_COSTS, USAGE_LIVE
from deployments.http.usage.question import asked_of
from deployments.shared.errors import NotReady, ObjectNotFound


def usage_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    def tracker() -> UsageFigures:
        if services.usage is None:
            raise NotReady("the tracker is switched off (setting tracker.enabled)", code="tracker_disabled")
        return services.usage

    @app.get("/v1/usage", **USAGE)
    async def usage(request: Request) -> Response:
        principal = authorized(request, services, "read")
        asked = asked_of(request.query_params, principal)
        answer = await tracker().ask(asked)
        return JSONResponse(usage_document(answer, asked, tells_dropped="operate" in principal.scopes))

    @app.get("/v1/usage/costs", **USAGE_COSTS)
    async def costs(request: Request) -> Response:
        principal = authorized(request, services, "read")
        prices_file = services.settings.tracker.prices_file
        if prices_file is None:
            raise ObjectNotFound(
                "this server has no prices, so usage has no costs; its operator can write some (tracker.prices_file)"
            )
        parameters = {name: value for name, value in request.query_params.items() if name != "group_by"}
        asked = cost_question(asked_of(parameters, principal))
        answer = await tracker().ask(asked)
        return JSONResponse(await asyncio.to_thread(_costs, answer, asked, prices_file))

    @app.get("/v1/usage/live", **USAGE_LIVE)
    async def live(request: Request) -> Response:
        principal = authorized(request, services, "read")
        tenant = None if "operate" in principal.scopes else principal.tenant
        return JSONResponse(live_document(await tracker().live(tenant)))


def _costs(answer: UsageAnswer, asked: UsageQuestion, prices_file: Path) -> dict[str, Any]:
    prices = read_prices(prices_file)
    rows = list(cost_rows(answer.rows, prices))
    known = [row.pico for row in rows if row.pico is not None]
    return {
        "object": "adaptrix.usage.costs",
        "currency": prices.currency,
        "start_time": answer.start,
        "end_time": answer.end,
        "bucket_width": next(width for width, per in BUCKET_WIDTHS.items() if per == asked.per),
        "data": [cost_document(row) for row in rows],
        "total": told(sum(known)),
        "unpriced": len(rows) - len(known),
    }
