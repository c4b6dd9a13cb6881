"""``/v1/route``, ``/v1/feedback…`` and ``/v1/embeddings``: direct access to the router."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.adapters.reference import AUTO, BASE
from adaptrix_core.confidence.calibration import BASE_ANSWERS
from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.errors import InvalidRequest
from deployments.generation.route_prompts import PromptRouting
from deployments.http.description.endpoints import ANSWER_FEEDBACK, EMBEDDINGS, FEEDBACK, ROUTE
from deployments.http.endpoint import authorized, body_of
from deployments.http.services import Services
from deployments.openai.confidence_body import AnswerFeedbackRequest
from deployments.openai.embedding_document import embedding_answer
from deployments.openai.schemas import EmbeddingRequest, FeedbackRequest, RouteRequest
from deployments.router.explanation import explained_route
from deployments.shared.catalogue import shortened
from deployments.shared.errors import NotReady
from deployments.shared.model_ids import public_id


def router_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    def router() -> Any:
        if services.router is None:
            raise NotReady("the router is switched off (setting router.enabled); switch it on", code="router_disabled")
        return services.router

    @app.post("/v1/route", **ROUTE)
    async def route(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: RouteRequest = await body_of(request, services, RouteRequest)
        routing = PromptRouting(
            router(),
            services.tokenizer,
            services.store.catalogue,
            principal,
            "error",
            replicas_ask=services.settings.router.trunk,
        )
        messages = [message.plain() for message in body.messages]
        answer = await explained_route(messages, routing, router(), services.pipeline, principal)
        return JSONResponse(
            {
                "object": "adaptrix.route",
                "adapter": "+".join(term.adapter for term in answer.mix) or BASE,
                "mix": {term.adapter: term.weight for term in answer.mix},
                "scores": dict(answer.scores),
                "score": answer.score,
                "confidence": answer.confidence,
                "reason": answer.reason,
                "previous": answer.previous,
                "votes": [
                    {
                        "signal": said.signal,
                        "weight": said.weight,
                        "log_odds": dict(said.log_odds),
                        "reason": said.reason,
                    }
                    for said in answer.votes
                ],
                "touches": list(answer.touches),
            }
        )

    @app.post("/v1/feedback", **FEEDBACK)
    async def feedback(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: FeedbackRequest = await body_of(request, services, FeedbackRequest)
        right = None if body.right == BASE else body.right
        messages = [message.plain() for message in body.messages]
        taken = await router().feedback(messages, right, principal.salt)
        return JSONResponse(
            {
                "object": "adaptrix.feedback",
                "right": body.right,
                "decided": taken.decided or BASE,
                "labels": taken.labels,
                "threshold": taken.calibrated,
                "thresholds": dict(taken.thresholds),
            }
        )

    @app.post("/v1/feedback/answers", **ANSWER_FEEDBACK)
    async def answer_feedback(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: AnswerFeedbackRequest = await body_of(request, services, AnswerFeedbackRequest)
        catalogue = services.store.catalogue
        entry = None if body.adapter == BASE else catalogue.find(body.adapter)
        if entry is None and body.adapter != BASE:
            raise catalogue.not_found(body.adapter, (BASE,), "adapter")
        answerer = BASE_ANSWERS if entry is None else entry.package_digest
        taken = await router().label_answer(AnswerLabel(answerer, body.confidence, body.right), principal.salt)
        return JSONResponse(
            {
                "object": "adaptrix.answer_feedback",
                "adapter": body.adapter,
                "labels": taken.labels,
                "moved_log_odds": round(taken.moved, 4),
            }
        )

    @app.post("/v1/embeddings", **EMBEDDINGS)
    async def embeddings(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: EmbeddingRequest = await body_of(request, services, EmbeddingRequest)
        model = public_id(services.settings.router.embedder or "none")
        if body.model != AUTO and _plain(body.model) != _plain(model):
            raise InvalidRequest(
                f"embedding model {shortened(body.model)!r} does not exist; known: {model!r}", param="model"
            )
        vectors, tokens = await router().embed(body.inputs(), body.dimensions, principal.salt)
        answer = await embedding_answer(model, vectors, tokens, body.encoding_format)
        return Response(answer, media_type="application/json")


def _plain(model: str) -> str:
    """An embedding model's id without its publisher and in small letters: people write it in all these ways."""
    return model.rpartition("/")[2].lower()
