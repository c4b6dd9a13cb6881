"""``/v1/route``, ``/v1/feedback…`` and ``/v1/embeddings``: direct access to the router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.adapters.reference import AUTO, BASE
from adaptrix_core.composition.planning.plan import with_example_answers
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.confidence.calibration import BASE_ANSWERS
from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.errors import InvalidRequest
from deployments.generation.route_prompts import PromptRouting
from deployments.http.description.endpoints import ANSWER_FEEDBACK, EMBEDDINGS, FEEDBACK, FORGET, LEARNT, ROUTE
from deployments.http.endpoint import authorized, body_of
from deployments.http.observe.audited import administered, noted
from deployments.http.services import Embedder, Services
from deployments.openai.confidence_body import AnswerFeedbackRequest
from deployments.openai.embedding_document import embedding_answer
from deployments.openai.schemas import EmbeddingRequest, FeedbackRequest, RouteRequest
from deployments.router.explanation import explained_route
from deployments.shared.catalogue import shortened
from deployments.shared.errors import NotReady, ObjectNotFound
from deployments.shared.model_ids import public_id
from deployments.shared.wire import RouteAnswer


def router_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    def router() -> Embedder:
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
            principal.sees(services.store.catalogue),
            principal,
            "error",
            replicas_ask=services.settings.router.trunk,
        )
        messages = [message.plain() for message in body.messages]
        answer = await explained_route(messages, routing, router(), services.pipeline, principal)
        return JSONResponse(
            {
                "object": "adaptrix.route",
                "adapter": _who(answer),
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
                "plan": await _plan(body, router(), services.settings.router.divide, principal.salt),
            }
        )

    _feedback_endpoints(app, services, router)
    _learnt_endpoints(app, services, router)

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


def _feedback_endpoints(app: FastAPI, services: Services, router: Callable[[], Embedder]) -> None:
    """What tenants say of decisions and of answers."""

    @app.post("/v1/feedback", **FEEDBACK)
    async def feedback(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: FeedbackRequest = await body_of(request, services, FeedbackRequest)
        if body.learn:
            principal.require("operate")
        right = None if body.right == BASE else body.right
        messages = [message.plain() for message in body.messages]
        if body.learn:
            async with administered(request, services.audit, "router.learn", body.right) as act:
                taken = await router().feedback(messages, right, principal.salt, learn=True)
                act.details["learnt"] = taken.learnt or 0
        else:
            taken = await router().feedback(messages, right, principal.salt)
            noted(request, services.audit, "router.label", body.right)
        return JSONResponse(
            {
                "object": "adaptrix.feedback",
                "right": body.right,
                "decided": taken.decided or BASE,
                "labels": taken.labels,
                "threshold": taken.calibrated,
                "thresholds": dict(taken.thresholds),
                **({} if taken.learnt is None else {"learnt": taken.learnt}),
            }
        )

    @app.post("/v1/feedback/answers", **ANSWER_FEEDBACK)
    async def answer_feedback(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: AnswerFeedbackRequest = await body_of(request, services, AnswerFeedbackRequest)
        view = principal.sees(services.store.catalogue)
        entry = None if body.adapter == BASE else view.find(body.adapter)
        if entry is None and body.adapter != BASE:
            raise view.not_found(body.adapter, (BASE,), "adapter")
        answerer = BASE_ANSWERS if entry is None else entry.package_digest
        taken = await router().label_answer(AnswerLabel(answerer, body.confidence, body.right), principal.salt)
        noted(request, services.audit, "confidence.label", body.adapter)
        return JSONResponse(
            {
                "object": "adaptrix.answer_feedback",
                "adapter": body.adapter,
                "labels": taken.labels,
                "moved_log_odds": round(taken.moved, 4),
            }
        )


def _learnt_endpoints(app: FastAPI, services: Services, router: Callable[[], Embedder]) -> None:
    """What operators have had the router learn, listed and forgotten."""

    @app.get("/v1/feedback/learnt", **LEARNT)
    async def learnt(request: Request) -> Response:
        authorized(request, services, "operate")
        messages = await router().learnt()
        return JSONResponse(
            {
                "object": "list",
                "data": [
                    {
                        "object": "adaptrix.learnt_message",
                        "id": one.message_id,
                        "text": one.text,
                        "right": one.right or BASE,
                    }
                    for one in messages
                ],
            }
        )

    @app.delete("/v1/feedback/learnt/{message_id}", **FORGET)
    async def forget(request: Request, message_id: str) -> Response:
        authorized(request, services, "operate")
        async with administered(request, services.audit, "router.forget", message_id):
            if await router().forget(message_id) is None:
                raise ObjectNotFound(
                    f"no learnt message has the id {shortened(message_id)!r}; GET /v1/feedback/learnt lists them"
                )
        return JSONResponse({"object": "adaptrix.learnt_message.deleted", "id": message_id, "deleted": True})


async def _plan(body: RouteRequest, router: Embedder, divide: bool, salt: bytes) -> list[dict[str, Any]]:
    """The steps that the last message is divided into, and who answers each; empty for one that is not divided.

    divide: whether it is where the request does not say.
    """
    last = body.messages[-1]
    divides = divide if body.plan is None else body.plan == "auto"
    plan = plan_of(last.plain()["content"]) if divides and last.role == "user" else None
    if plan is None:
        return []
    asked = ([{"role": "user", "content": with_example_answers(step)}] for step in plan.steps)
    answers = await asyncio.gather(*(router.route(messages, salt) for messages in asked))
    return [
        {"question": step, "adapter": _who(answer), "score": answer.score, "reason": answer.reason}
        for step, answer in zip(plan.steps, answers, strict=True)
    ]


def _who(answer: RouteAnswer) -> str:
    """The adapter that a router's answer chooses, or the base model."""
    return "+".join(term.adapter for term in answer.mix) or BASE


def _plain(model: str) -> str:
    """An embedding model's id without its publisher and in small letters: people write it in all these ways."""
    return model.rpartition("/")[2].lower()
