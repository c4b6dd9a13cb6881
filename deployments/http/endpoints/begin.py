"""A generation request accepted and begun, as every endpoint that generates does it: caller, deadline, who answers.

Knows the order of these steps. What the body is, and what becomes of the pieces, is the endpoint's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError

from adaptrix_core.errors import AdapterNotFound
from deployments.callers.principal import Principal
from deployments.generation.deadline import Deadline
from deployments.generation.resolve import ResolvedRequest, resolve, with_conflicts_settled
from deployments.generation.start import RunningRequest, start_request
from deployments.generation.until_sure import asked_bound, until_sure
from deployments.http.at_hand import calibrations_at_hand, conflicts_at_hand, thresholds_moved
from deployments.http.endpoint import authorized
from deployments.http.faults import invalid_body
from deployments.http.guard import WATCH
from deployments.http.observe.request_watch import RequestWatch
from deployments.http.services import Services
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import Catalogue

Body = TypeVar("Body", bound=ChatRequest | CompletionRequest)


async def begin(
    request: Request,
    services: Services,
    read: Callable[[Principal], Awaitable[Body]],
    response_id: str | None = None,
    shorten: Callable[[ChatRequest, Principal], Awaitable[ChatRequest]] | None = None,
) -> tuple[Body, RunningRequest]:
    """Begin to answer what ``read`` gives for the caller. response_id: of the answer; one is made where it is None.

    shorten: what a replica is sent of a chat; asked once it is known who answers, as the router reads it whole.

    Raises any AdaptrixError: whatever refuses the request does so before its first byte.
    """
    observe = services.settings.observe
    watch = RequestWatch(
        services.metrics, services.tracing, observe, request.url.path, request.headers, services.outbox
    )
    request.scope[WATCH] = watch  # closed by `Guard`, with the connection
    with watch.accepting():
        principal = authorized(request, services, "generate")
        deadline = Deadline.from_headers(request.headers)
        services.running.note(principal.key_id, deadline)
        async with deadline.limit():
            try:
                body = await read(principal)
            except ValidationError as error:  # of what another API's body was translated into
                raise invalid_body(error, None) from None
            watch.identified(principal, body)
            principal.require_priority(body.priority)
            base_id = await services.store.base_id()
            bound = asked_bound(body, base_id, principal.sees(services.store.catalogue))
            shelf = await calibrations_at_hand(services) if body.judging else services.calibrations
            begins = partial(
                start_request,
                principal=principal,
                pipeline=services.pipeline,
                base_id=base_id,
                deadline=deadline,
                calibrations=shelf,
                response_id=response_id,
            )

            async def starting(asked: ChatRequest | CompletionRequest, resolved: ResolvedRequest) -> RunningRequest:
                if shorten is not None and isinstance(asked, ChatRequest):
                    asked = await shorten(asked, principal)
                return await begins(asked, resolved)

            async def start(asked: ChatRequest | CompletionRequest) -> RunningRequest:
                return await _started(asked, base_id, services, principal, watch, starting)

            if bound is None:
                running = await start(body)
            else:
                moved = await thresholds_moved(services, principal.salt)
                running = await until_sure(body, bound, start, deadline, base_id, moved)
    watch.begun(running)
    return body, running


async def _started(
    body: ChatRequest | CompletionRequest,
    base_id: str,
    services: Services,
    principal: Principal,
    watch: RequestWatch,
    starting: Callable[[ChatRequest | CompletionRequest, ResolvedRequest], Awaitable[RunningRequest]],
) -> RunningRequest:
    """The body resolved and begun; once more where an adapter has gone meanwhile and another has taken its place."""
    with watch.resolving():
        resolved = await _resolved(body, base_id, services, principal)
    try:
        return await starting(body, resolved)
    except AdapterNotFound as gone:
        with watch.resolving():
            now = await _resolved_again(body, base_id, services, principal)
        if now.bundles == resolved.bundles:
            raise gone from None
        return await starting(body, now)


async def _resolved(
    body: ChatRequest | CompletionRequest, base_id: str, services: Services, principal: Principal
) -> ResolvedRequest:
    """Who answers. A name that is unknown here may just have been loaded elsewhere, so the store is asked once."""
    try:
        return await _by_catalogue(services.store.catalogue, body, base_id, services, principal)
    except AdapterNotFound:
        return await _resolved_again(body, base_id, services, principal)


async def _resolved_again(
    body: ChatRequest | CompletionRequest, base_id: str, services: Services, principal: Principal
) -> ResolvedRequest:
    """Who answers by the catalogue as the store has it now."""
    return await _by_catalogue(await services.store.refresh(), body, base_id, services, principal)


async def _by_catalogue(
    catalogue: Catalogue,
    body: ChatRequest | CompletionRequest,
    base_id: str,
    services: Services,
    principal: Principal,
) -> ResolvedRequest:
    wanted = services.settings.router
    divide = wanted.enabled and wanted.divide
    resolved = await resolve(
        body,
        base_id,
        principal.sees(catalogue),
        services.router,
        services.tokenizer,
        principal,
        wanted.for_tools,
        wanted.trunk,
        divide,
    )
    if any(len(mix.terms) > 1 for mix in resolved.mixes):
        return with_conflicts_settled(resolved, await conflicts_at_hand(services))
    return resolved
