"""Explains who would answer messages sent to ``auto``: what each signal says, the base model's own reading included.

Where that has a vote, a replica is asked as it would be for the answer: it computes the messages and one token of the
answer, in its queue and at the usual priority, and tells what it has settled. Where none can, the router's opinion is
told, with the reason why the trunk is silent.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.observe.tracing import carrier
from adaptrix_core.routing.trunk.settlement import TRUNK
from adaptrix_core.routing.vote import SignalVote
from deployments.callers.principal import Principal
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline
from deployments.generation.ports import Router
from deployments.generation.route_prompts import PromptRouting
from deployments.shared.wire import GenerateCall, RouteAnswer

PATIENCE_S = 10.0
"""Longest time, in seconds, that a replica is waited for."""


async def explained_route(
    messages: Sequence[dict[str, str]],
    routing: PromptRouting,
    router: Router,
    pipeline: Pipeline,
    principal: Principal,
) -> RouteAnswer:
    """The decision, with what each signal said. Raises the router's errors, such as InvalidRequest."""
    deferral = (await routing.one(messages)).deferral
    if deferral is None:
        return await router.route(messages, principal.salt, explained=True)
    call = GenerateCall(
        f"route-{secrets.token_hex(16)}",
        tuple(messages),
        mixes=((),),
        sampling={"max_tokens": 1, "seed": 0},
        salt=principal.salt,
        timeout_s=PATIENCE_S,
        is_streamed=False,
        trace=carrier(),
        deferred=replace(deferral, said=None, is_explained=True),
    )
    deadline = Deadline(PATIENCE_S)
    try:
        async with aclosing(pipeline.open([call], deadline)) as stream:
            await stream.begin()
            return stream.settled(1)[0].answer
    except AdaptrixError as error:
        answer = await router.route(messages, principal.salt, explained=True)
        silent = SignalVote(TRUNK, 0.0, {}, f"no replica could be asked: {error.code}: {error.message}")
        return replace(answer, votes=(*answer.votes, silent))
