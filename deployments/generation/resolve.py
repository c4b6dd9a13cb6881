"""Resolves who answers a request: once, in the ingress, so that any replica can serve it.

Knows names, routing answers and the fall-back to the base model. Does not know HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

from adaptrix_core.confidence.scoring import check_estimators
from adaptrix_core.errors import (
    AdapterNotFound,
    AdapterRejected,
    AdapterUnavailable,
    AdaptrixError,
    CacheFull,
    InvalidRequest,
)
from deployments.generation.model_names import Choice, NamedMix, choose
from deployments.generation.ports import Router
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import as_core_error
from deployments.shared.model_ids import FORK
from deployments.shared.principals import Principal
from deployments.shared.wire import RouteAnswer

logger = logging.getLogger(__name__)

ADAPTER_TROUBLE = (AdapterNotFound, AdapterRejected, AdapterUnavailable, CacheFull)
"""Errors that concern the adapter alone, so that the base model can still answer."""


@dataclass(frozen=True)
class ResolvedRequest:
    """The mixes that answer a request, and how they were chosen."""

    mixes: tuple[NamedMix, ...]
    fallback: Literal["base", "error"]
    route: RouteAnswer | None = None
    troubles: tuple[str, ...] = ()
    """Why the base model answers in place of the requested adapter, one reason each."""

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


async def resolve(
    body: ChatRequest | CompletionRequest,
    base_id: str,
    catalogue: Catalogue,
    router: Router | None,
    principal: Principal,
) -> ResolvedRequest:
    """Who answers ``body``. Raises InvalidRequest or AdapterNotFound."""
    check_estimators(body.scores)
    options = body.adaptrix
    choice = choose(
        body.model,
        base_id,
        catalogue,
        mix=options.terms() if options else None,
        fork=options.fork if options else None,
        composition=options.compose if options else None,
        fallback=options.fallback if options else None,
    )
    if not choice.auto:
        return ResolvedRequest(choice.mixes, choice.fallback)
    return await _route(body, choice, catalogue, router, principal)


def without_broken_adapter(resolved: ResolvedRequest, error: AdaptrixError) -> ResolvedRequest:
    """The same request with the base model in place of the adapter at fault; raises ``error`` if that isn't allowed."""
    if resolved.fallback != "base" or not isinstance(error, ADAPTER_TROUBLE):
        raise error
    broken = [mix for mix in resolved.mixes if mix.terms and _is_at_fault(mix, error)]
    if not broken:
        raise error
    logger.warning("the base model answers in place of %s: %s", [mix.label for mix in broken], error.message)
    return replace(
        resolved,
        mixes=tuple(NamedMix() if mix in broken else mix for mix in resolved.mixes),
        troubles=(*resolved.troubles, f"{broken[0].label}: {error.code}: {error.message}"),
    )


def _is_at_fault(mix: NamedMix, error: AdaptrixError) -> bool:
    return error.bundle_digest is None or any(term.adapter == error.bundle_digest for term in mix.bundles)


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
    found = {term: catalogue.find(term.adapter) for term in answer.mix}
    missing = [term.adapter for term, entry in found.items() if entry is None]
    if missing and choice.fallback != "base":
        raise catalogue.not_found(missing[0])
    if missing:
        return ResolvedRequest((NamedMix(),), choice.fallback, answer, (f"{missing[0]}: no longer in the catalogue",))
    mix = NamedMix(tuple(term.called(entry) for term, entry in found.items() if entry is not None))
    return ResolvedRequest((mix,), choice.fallback, answer)


def _messages(body: ChatRequest | CompletionRequest) -> list[dict[str, str]]:
    """The messages for the router. Only text can be routed, and several prompts would need several decisions."""
    if isinstance(body, ChatRequest):
        return [message.plain() for message in body.messages]
    prompts = body.prompts()
    if len(prompts) > 1 or not isinstance(prompts[0], str):
        raise InvalidRequest(
            f"model 'auto' routes one text prompt, not {len(prompts)} prompts or token ids; name a model", param="model"
        )
    return [{"role": "user", "content": prompts[0]}]
