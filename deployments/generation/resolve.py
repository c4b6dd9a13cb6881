"""Resolves who answers a request: once, in the ingress, so that any replica can serve it.

Knows names, routing answers and the fall-back to the base model. Does not know HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from adaptrix_core.adapters.reference import AUTO
from adaptrix_core.composition.conflicts.guard import ConflictGuard, OverLimitMix
from adaptrix_core.composition.model_strings import part_label
from adaptrix_core.composition.parameters import can_go_in_steps, check_parameters
from adaptrix_core.composition.parts import Part, Steps, plain
from adaptrix_core.confidence.scoring import check_estimators
from adaptrix_core.errors import (
    AdapterNotFound,
    AdapterRejected,
    AdapterUnavailable,
    AdaptrixError,
    CacheFull,
    InvalidRequest,
)
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from deployments.callers.principal import Principal
from deployments.generation.model_names import NamedMix, SignedComposition, Within, asked_model, choose
from deployments.generation.ports import Router, Tokenizer
from deployments.generation.route_prompts import PlannedSteps, PromptRouting, RoutedPrompt
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import View
from deployments.shared.entry import Entry
from deployments.shared.errors import ChosenComposition
from deployments.shared.model_ids import COMPOSITION, FORK
from deployments.shared.wire import BundleMix, RouteAnswer

logger = logging.getLogger(__name__)

ADAPTER_TROUBLE = (AdapterNotFound, AdapterRejected, AdapterUnavailable, CacheFull)
"""Errors that concern the adapter alone, so that the base model can still answer."""


@dataclass(frozen=True)
class ResolvedRequest:
    """The mixes that answer a request, and how they were chosen."""

    mixes: tuple[NamedMix, ...]
    """One for each fork. Where several prompts were routed, all that answer any of them, once each."""
    fallback: Literal["base", "error"]
    route: RouteAnswer | None = None
    troubles: tuple[str, ...] = ()
    """Why the base model answers in place of the requested adapter, one reason each."""
    by_prompt: tuple[RoutedPrompt, ...] = ()
    """Who answers each prompt, where several were routed, each by itself; else empty."""
    part: Part[Entry] | None = None
    """The composition without a name that answers, where it is more than one mix."""
    warnings: tuple[str, ...] = ()
    """What the caller is told of its mixes (`with_conflicts_settled`)."""
    left_open: tuple[RoutedPrompt, ...] = ()
    """The prompts, where a replica settles at the cut who answers; else empty. ``mixes`` holds until then."""

    @property
    def bundles(self) -> tuple[BundleMix, ...]:
        """The mixes by bundle digests, with those that a replica may settle on."""
        candidates = [mix for one in self.left_open for mix in one.candidates.values()]
        return tuple(mix.bundles for mix in (*self.mixes, *candidates))

    def mixes_of(self, prompt: int) -> tuple[NamedMix, ...]:
        """The mixes that answer the prompt of this number, one for each fork."""
        return (self.by_prompt[prompt].mix,) if self.by_prompt else self.mixes

    def signed_of(self, prompt: int) -> SignedComposition | None:
        """What the composition with a name that answers a prompt comes to, where it is more than one mix.

        None while it is left open who answers: a replica refuses the call if it is this one, see `settled_on`.
        """
        mixes = self.mixes_of(prompt)
        return mixes[0].signed if len(mixes) == 1 and self.part is None and not self.left_open else None

    def part_of(self, prompt: int) -> Part[Entry] | Part[Within] | None:
        """The composition that answers the prompt of this number, where it is more than one mix."""
        signed = self.signed_of(prompt)
        return self.part if signed is None else signed.part

    def deferral_of(self, prompt: int) -> Deferral | None:
        """What a replica needs to settle who answers the prompt of this number; None where that is settled."""
        return self.left_open[prompt].deferral if self.left_open else None

    def settled(self, choices: Mapping[int, SettledChoice]) -> ResolvedRequest:
        """The same with what replicas have settled, by the prompt's number."""
        if not self.left_open:
            return self
        routed = [one.settled(choices.get(number)) for number, one in enumerate(self.left_open)]
        resolved = _of_prompts(routed, self.fallback)
        return replace(resolved, troubles=tuple(dict.fromkeys((*self.troubles, *resolved.troubles))))

    @property
    def label(self) -> str:
        """Who answers, forks, or prompts that were routed apart, separated by commas."""
        if self.part is not None:
            return part_label(self.part.called(lambda entry: entry.public_name))
        return ",".join(mix.label for mix in self.mixes)

    @property
    def kind(self) -> str:
        """Who answers, for counting: an adapter's name or a label of `model_ids.py`; callers cannot make up more."""
        if self.part is not None:
            return COMPOSITION
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
        if self.warnings:
            headers["x-adaptrix-warning"] = "; ".join(self.warnings).encode("ascii", "replace").decode()[:512]
        return headers

    @property
    def about(self) -> dict[str, Any]:
        """What the answer says of itself: why the base model gives it, and what is known of its mixes."""
        told = {"fallback": self.trouble, "warnings": list(self.warnings)}
        return {name: value for name, value in told.items() if value}

    @property
    def trouble(self) -> str:
        """All troubles in one line; empty where there are none."""
        return " ".join("; ".join(self.troubles).split())[:512]


async def resolve(
    body: ChatRequest | CompletionRequest,
    base_id: str,
    view: View,
    router: Router | None,
    tokenizer: Tokenizer,
    principal: Principal,
    for_tools: str | None = None,
    replicas_ask: bool = False,
    divide: bool = False,
) -> ResolvedRequest:
    """Who answers ``body``. Raises InvalidRequest or AdapterNotFound.

    tokenizer: tells the router the text of prompts that are token ids. for_tools: the adapter for ``auto`` where
    functions may be called. replicas_ask: whether replicas ask the router, where they can (`route_prompts.py`). divide:
    whether ``auto`` divides questions of requests that do not say.
    """
    if body.judging is not None:
        check_estimators(body.judging.scores)
    options = body.adaptrix
    fields = {"adapter_id": body.adapter_id, "lora_path": body.lora_path}
    model, asked_by = asked_model(body.model, fields, base_id)
    try:
        choice = choose(
            model,
            base_id,
            view,
            mix=options.terms() if options else None,
            fork=options.fork if options else None,
            composition=options.compose if options else None,
            fallback=options.fallback if options else None,
        )
    except AdaptrixError as error:
        if error.param == "model":
            error.param = asked_by
        raise
    if not choice.auto:
        if options is not None and options.plan == "auto":
            raise InvalidRequest(
                f"adaptrix.plan divides questions to {AUTO!r}, and this request names who answers; "
                f"set model to {AUTO!r}, "
                'or send adaptrix.compose: {"sequential": […], "plan": "auto"}',
                param="adaptrix.plan",
            )
        resolved = ResolvedRequest(choice.mixes, choice.fallback, part=choice.part)
        if (part := resolved.part_of(0)) is not None:
            check_parameters(part, body.asked())
        return resolved
    routing = PromptRouting(router, tokenizer, view, principal, choice.fallback, for_tools, replicas_ask)
    if _divides(body, divide) and (steps := await routing.steps_of(body)) is not None:
        return _of_steps(steps, body, choice.fallback)
    routed = [_honouring(one, body.asked(), choice.fallback) for one in await routing.all_of(body)]
    return _of_prompts(routed, choice.fallback)


def with_conflicts_settled(resolved: ResolvedRequest, guard: ConflictGuard) -> ResolvedRequest:
    """The same request with the weights and the warnings that its mixes get, as far as they were measured before.

    Weights inside of a composition of several rows or steps are left as they are, and warned of. Raises Conflict
    (mix_conflict) where the settings refuse a mix.
    """
    is_one_mix = resolved.part is None
    judged = [
        guard.judge([term.called(term.adapter.package_digest) for term in mix.terms], mix.label, is_one_mix)
        for mix in resolved.mixes
    ]
    mixes = tuple(_reduced(mix, one) for mix, one in zip(resolved.mixes, judged, strict=True))
    warnings = tuple(dict.fromkeys(one.warning for one in judged if one is not None))
    return replace(resolved, mixes=mixes, warnings=warnings)


def _reduced(mix: NamedMix, judged: OverLimitMix | None) -> NamedMix:
    if judged is None or judged.weights is None:
        return mix
    terms = tuple(replace(term, weight=w) for term, w in zip(mix.terms, judged.weights, strict=True))
    return replace(mix, terms=terms)


def _divides(body: ChatRequest | CompletionRequest, divide: bool) -> bool:
    """As the request says; where it says nothing, as the setting does, unless it asks for what steps cannot honour."""
    if body.adaptrix is not None and body.adaptrix.plan is not None:
        return body.adaptrix.plan == "auto"
    return divide and can_go_in_steps(body.asked())


def without_broken_adapter(resolved: ResolvedRequest, error: AdaptrixError) -> ResolvedRequest:
    """The same request with the base model in place of the adapter at fault; raises ``error`` if that isn't allowed.

    A composition that a replica has chosen at the cut, and cannot compute in the call it was asked for, is no fault.
    """
    if isinstance(error, ChosenComposition):
        chosen = [one.settled_on(error.bundle_digest, error.route) for one in resolved.left_open]
        if settled := [one for one in chosen if one is not None]:
            answered = _of_prompts(settled, resolved.fallback)
            return replace(answered, troubles=(*resolved.troubles, *answered.troubles))
    if resolved.fallback != "base" or not isinstance(error, ADAPTER_TROUBLE):
        raise error
    if resolved.left_open:
        return _with_broken_candidate(resolved, error)
    broken = [mix for mix in resolved.mixes if mix.terms and _is_at_fault(mix, error)]
    if not broken:
        raise error
    logger.warning("the base model answers in place of %s: %s", [mix.label for mix in broken], error.message)
    troubles = (*resolved.troubles, f"{broken[0].label}: {error.code}: {error.message}")
    if resolved.part is not None:
        return replace(resolved, mixes=(NamedMix(),), troubles=troubles, part=None)
    if resolved.by_prompt:
        routed = [replace(one, mix=NamedMix()) if one.mix in broken else one for one in resolved.by_prompt]
        return replace(resolved, mixes=_once_each(routed), troubles=troubles, by_prompt=tuple(routed))
    mixes = tuple(NamedMix() if mix in broken else mix for mix in resolved.mixes)
    return replace(resolved, mixes=mixes, troubles=troubles)


def _with_broken_candidate(resolved: ResolvedRequest, error: AdaptrixError) -> ResolvedRequest:
    """The same request, in which an adapter that a replica has chosen and cannot use gives way to the base model."""
    without = [one.without(error.bundle_digest) for one in resolved.left_open]
    at_fault = {name for one in without for name in one.broken} - {n for one in resolved.left_open for n in one.broken}
    if not at_fault:
        raise error
    logger.warning("the base model answers in place of %s: %s", sorted(at_fault), error.message)
    troubles = (*resolved.troubles, f"{', '.join(sorted(at_fault))}: {error.code}: {error.message}")
    return replace(_of_prompts(without, resolved.fallback), troubles=troubles)


def _honouring(routed: RoutedPrompt, asked: Mapping[str, Any], fallback: Literal["base", "error"]) -> RoutedPrompt:
    """The same, the base model in place of a composition that cannot honour what is asked for: nobody has named it.

    Raises InvalidRequest where that isn't allowed.
    """
    composed = {name: _refusal(mix, asked) for name, mix in routed.candidates.items() if mix.signed is not None}
    routed = replace(routed, composed=composed)
    refusal = _refusal(routed.mix, asked)
    return routed if refusal is None else routed.given_up(refusal, fallback == "base")


def _refusal(mix: NamedMix, asked: Mapping[str, Any]) -> InvalidRequest | None:
    """Why a composition cannot honour what is asked for; None where it can, and for any other mix."""
    if (signed := mix.signed) is None:
        return None
    try:
        check_parameters(signed.part, asked)
    except InvalidRequest as error:
        return error
    return None


def _of_prompts(routed: Sequence[RoutedPrompt], fallback: Literal["base", "error"]) -> ResolvedRequest:
    troubles = tuple(dict.fromkeys(one.trouble for one in routed if one.trouble))
    left_open = tuple(routed) if any(one.deferral is not None for one in routed) else ()
    if len(routed) == 1:
        return ResolvedRequest((routed[0].mix,), fallback, routed[0].route, troubles, left_open=left_open)
    return ResolvedRequest(_once_each(routed), fallback, None, troubles, tuple(routed), left_open=left_open)


def _of_steps(
    steps: PlannedSteps, body: ChatRequest | CompletionRequest, fallback: Literal["base", "error"]
) -> ResolvedRequest:
    """A sequence of the steps; raises InvalidRequest for what a sequence cannot honour."""
    groups = tuple(plain(one.mix.terms) for one in steps.routed)
    part = Steps(groups, steps.questions)
    check_parameters(part, body.asked())
    troubles = tuple(dict.fromkeys(one.trouble for one in steps.routed if one.trouble))
    return ResolvedRequest(_once_each(steps.routed), fallback, None, troubles, part=part)


def _once_each(routed: Sequence[RoutedPrompt]) -> tuple[NamedMix, ...]:
    """Who answers any of these prompts, in the order in which they first do."""
    return tuple(dict.fromkeys(one.mix for one in routed))


def _is_at_fault(mix: NamedMix, error: AdaptrixError) -> bool:
    return error.bundle_digest is None or any(term.adapter == error.bundle_digest for term in mix.bundles)
