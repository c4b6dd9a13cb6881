"""One generation request, from its body to a stream of pieces: who answers is resolved once, then replicas do the work.

Knows names, routing answers, seeds and the fall-back to the base model. Does not know HTTP, and
reaches router and replicas only through the two small protocols below.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from adaptrix_core.errors import (
    AdapterNotFound,
    AdapterRejected,
    AdapterUnavailable,
    AdaptrixError,
    CacheFull,
    InvalidRequest,
)
from adaptrix_core.observe.tracing import carrier
from deployments.generation.deadline import Deadline
from deployments.generation.merge_streams import merged
from deployments.generation.model_names import Choice, NamedMix, choose
from deployments.generation.row_ends import raise_if_broken
from deployments.openai.documents import AnswerHead
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import NotReady, as_core_error
from deployments.shared.model_ids import FORK
from deployments.shared.principals import Principal
from deployments.shared.wire import GenerateCall, Piece, RouteAnswer

logger = logging.getLogger(__name__)

Batches = AsyncGenerator[list[Piece]]

ADAPTER_TROUBLE = (AdapterNotFound, AdapterRejected, AdapterUnavailable, CacheFull)
"""Errors that are the adapter's fault, so that the base model could still answer."""


class Replicas(Protocol):
    """The model replicas, as the ingress reaches them."""

    def generate(self, call: GenerateCall) -> Batches:
        """What each engine step produced for ``call``; closing the iterator aborts it."""


class Router(Protocol):
    """The router, as the ingress reaches it."""

    async def route(self, messages: Sequence[dict[str, str]], salt: bytes = b"") -> RouteAnswer:
        """Who should answer these messages. ``salt`` keeps what is remembered of a tenant's texts apart."""


@dataclass(frozen=True)
class ResolvedRequest:
    """Who answers a request, and how that was found."""

    mixes: tuple[NamedMix, ...]
    fallback: Literal["base", "error"]
    route: RouteAnswer | None = None
    troubles: tuple[str, ...] = ()
    """Why the base model answers in place of what was asked for."""

    @property
    def label(self) -> str:
        """Who answers, forks separated by commas."""
        return ",".join(mix.label for mix in self.mixes)

    @property
    def kind(self) -> str:
        """Who answers, for counting: an adapter's name, ``base``, ``mix`` or ``fork``; callers cannot make up more."""
        return FORK if len(self.mixes) > 1 else self.mixes[0].kind

    def headers(self) -> dict[str, str]:
        """The ``x-adaptrix-*`` response headers."""
        headers = {
            "x-adaptrix-adapter": self.label,
            "x-adaptrix-digest": ",".join(mix.package_digests for mix in self.mixes),
        }
        if self.route is not None:
            headers["x-adaptrix-route-score"] = f"{self.route.score:.4f}"
        if self.troubles:
            headers["x-adaptrix-fallback"] = self.trouble.encode("ascii", "replace").decode()
        return headers

    @property
    def trouble(self) -> str:
        """All troubles in one line; empty where there are none."""
        return " ".join("; ".join(self.troubles).split())[:512]


@dataclass(frozen=True)
class RunningRequest:
    """An accepted request: its first pieces are there already."""

    head: AnswerHead
    resolved: ResolvedRequest
    batches: Batches
    num_rows: int
    rows_per_prompt: int

    def kind_of(self, index: int) -> str:
        """Who answers one row, for counting."""
        return self.resolved.mixes[index % self.rows_per_prompt // self.head.rows_per_fork].kind


async def resolve(
    body: ChatRequest | CompletionRequest,
    base_id: str,
    catalogue: Catalogue,
    router: Router | None,
    principal: Principal,
) -> ResolvedRequest:
    """Who answers ``body``. Raises InvalidRequest or AdapterNotFound."""
    options = body.adaptrix
    choice = choose(
        body.model,
        base_id,
        catalogue,
        mix=options.mix if options else None,
        fork=options.fork if options else None,
        fallback=options.fallback if options else None,
    )
    if not choice.auto:
        return ResolvedRequest(choice.mixes, choice.fallback)
    return await _route(body, choice, catalogue, router, principal)


async def start(
    body: ChatRequest | CompletionRequest,
    resolved: ResolvedRequest,
    principal: Principal,
    replicas: Replicas,
    base_id: str,
    deadline: Deadline,
) -> RunningRequest:
    """Hand the request to replicas and wait until each prompt has its first piece, so that refusals become a status.

    Raises any AdaptrixError. Where an adapter cannot be used and the request allows it, the base model takes its place.
    """
    kind: Literal["chat", "text"] = "chat" if isinstance(body, ChatRequest) else "text"
    response_id = f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{secrets.token_hex(16)}"
    prompts = _prompts(body)
    sampling = {**body.sampling(), "seed": secrets.randbits(62) if body.seed is None else body.seed}
    while True:
        rows_per_prompt = body.n * len(resolved.mixes)
        calls = [
            GenerateCall(
                request_id=f"{response_id}-{number}",
                prompt=prompt,
                mixes=tuple(mix.bundles for mix in resolved.mixes),
                sampling=sampling,
                salt=principal.salt,
                response_format=body.response_format.grammar_schema() if body.response_format else None,
                priority=body.priority,
                timeout_s=deadline.remaining_s,
                is_streamed=body.stream,
                is_alone=len(prompts) == 1,
                trace=carrier(),
            )
            for number, prompt in enumerate(prompts)
        ]
        streams = [replicas.generate(call) for call in calls]
        batches = merged(streams, rows_per_prompt)
        try:
            first = await anext(batches)
            raise_if_broken(first)
            break
        except StopAsyncIteration:
            raise NotReady("the replica ended the request without an answer; send it again") from None
        except Exception as raised:
            await batches.aclose()
            resolved = _without_broken_adapter(resolved, as_core_error(raised))
    model = resolved.label if any(mix.terms for mix in resolved.mixes) else base_id
    forks = tuple({"adapter": mix.label, "digest": mix.package_digests} for mix in resolved.mixes)
    head = AnswerHead(
        kind, response_id, int(time.time()), model, forks if len(forks) > 1 else (), body.n, resolved.trouble
    )
    in_time = deadline.over(_resumed(first, batches))
    return RunningRequest(head, resolved, in_time, rows_per_prompt * len(prompts), rows_per_prompt)


def _without_broken_adapter(resolved: ResolvedRequest, error: AdaptrixError) -> ResolvedRequest:
    """The same request with the base model in place of the adapter at fault; raises ``error`` if that isn't allowed."""
    if resolved.fallback != "base" or not isinstance(error, ADAPTER_TROUBLE):
        raise error
    bundle = getattr(error, "bundle", None)
    broken = [mix for mix in resolved.mixes if mix.terms and (bundle is None or bundle in dict(mix.bundles))]
    if not broken:
        raise error
    logger.warning("the base model answers in place of %s: %s", [mix.label for mix in broken], error.message)
    return replace(
        resolved,
        mixes=tuple(NamedMix() if mix in broken else mix for mix in resolved.mixes),
        troubles=(*resolved.troubles, f"{broken[0].label}: {error.code}: {error.message}"),
    )


async def _route(
    body: ChatRequest | CompletionRequest,
    choice: Choice,
    catalogue: Catalogue,
    router: Router | None,
    principal: Principal,
) -> ResolvedRequest:
    if router is None:
        return ResolvedRequest((NamedMix(),), choice.fallback, troubles=("the router is switched off",))
    try:
        answer = await router.route(_messages(body), principal.salt)
    except Exception as raised:
        error = as_core_error(raised)
        if choice.fallback != "base" or isinstance(error, InvalidRequest):
            raise error from raised
        logger.warning("the base model answers, because the router failed: %s", error.message)
        return ResolvedRequest((NamedMix(),), choice.fallback, troubles=(f"router: {error.code}: {error.message}",))
    terms = [(name, catalogue.find(name), weight) for name, weight in answer.mix]
    missing = [name for name, entry, _ in terms if entry is None]
    if missing and choice.fallback != "base":
        raise catalogue.not_found(missing[0])
    if missing:
        return ResolvedRequest((NamedMix(),), choice.fallback, answer, (f"{missing[0]}: no longer in the catalogue",))
    mix = NamedMix(tuple((entry, weight) for _, entry, weight in terms if entry is not None))
    return ResolvedRequest((mix,), choice.fallback, answer)


def _prompts(body: ChatRequest | CompletionRequest) -> Sequence[str | tuple[int, ...] | tuple[dict[str, str], ...]]:
    if isinstance(body, ChatRequest):
        return [tuple(message.plain() for message in body.messages)]
    return body.prompts()


def _messages(body: ChatRequest | CompletionRequest) -> list[dict[str, str]]:
    """What the router reads. Only text can be routed, and several prompts would need several answers."""
    if isinstance(body, ChatRequest):
        return [message.plain() for message in body.messages]
    prompts = body.prompts()
    if len(prompts) > 1 or not isinstance(prompts[0], str):
        raise InvalidRequest(
            f"model 'auto' routes one text prompt, not {len(prompts)} prompts or token ids; name a model", param="model"
        )
    return [{"role": "user", "content": prompts[0]}]


async def _resumed(first: list[Piece], rest: Batches) -> Batches:
    """``first``, then ``rest``; closing this closes ``rest``."""
    async with aclosing(rest) as batches:
        yield first
        async for pieces in batches:
            yield pieces
