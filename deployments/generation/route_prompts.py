"""Asks the router who answers each prompt of a request to ``auto``; where it cannot say, the base model may answer.

A prompt of token ids is routed by its text, which the base model's tokenizer tells. Knows names and what the router
says of them; does not know whether a replica can serve the choice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from adaptrix_core.composition.planning.plan import with_example_answers
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from deployments.generation.model_names import NamedMix
from deployments.generation.ports import Router, Tokenizer
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import as_core_error
from deployments.shared.principals import Principal
from deployments.shared.token_calls import DetokenizeCall
from deployments.shared.wire import RouteAnswer

logger = logging.getLogger(__name__)

MOST_CANDIDATES = 8
"""Most adapters that a replica chooses from at the cut: all of them are kept in host memory until it has chosen."""


@dataclass(frozen=True)
class RoutedPrompt:
    """Who answers one prompt."""

    mix: NamedMix
    route: RouteAnswer | None = None
    """What the router said; None where it said nothing."""
    trouble: str = ""
    """Why the base model answers in place of what the router chose, or would have chosen; empty where it does not."""
    candidates: Mapping[str, NamedMix] = field(default_factory=dict)
    """By name, those that a replica may choose at the cut; ``mix`` is what the router says. Empty: ``mix`` is final."""
    broken: frozenset[str] = frozenset()
    """Candidates that cannot be used: the base model answers in place of them."""
    composed: frozenset[str] = frozenset()
    """Candidates that are compositions of several rows or steps and can honour the request: a replica that chooses one
    refuses the call, as one call cannot answer so, and then the composition answers (`settled_on`)."""

    @property
    def deferral(self) -> Deferral | None:
        """What the replica needs to settle it; None where ``mix`` is final."""
        if self.route is None or self.route.left_open is None or not self.candidates:
            return None
        bundles = {name: mix.bundles for name, mix in self.candidates.items()}
        return Deferral(self.route.left_open, bundles, self.broken)

    def settled(self, choice: SettledChoice | None) -> RoutedPrompt:
        """The same with what a replica has settled; None: what the router said holds."""
        if choice is None:
            return replace(self, candidates={})
        chosen = choice.decision.adapter if choice.mix else None
        route = RouteAnswer.of(choice.decision)
        return replace(self, mix=NamedMix() if chosen is None else self.candidates[chosen], route=route, candidates={})

    def settled_on(self, bundle: str | None) -> RoutedPrompt | None:
        """The same with the composition in this bundle, where a replica has chosen it; None for any other bundle."""
        for name in self.composed:
            if any(term.adapter == bundle for term in self.candidates[name].bundles):
                return replace(self, mix=self.candidates[name], route=None, candidates={})
        return None

    def without(self, bundle: str | None) -> RoutedPrompt:
        """The same where an adapter cannot be used: the base model answers in its place, whoever chooses it."""
        broken = {name for name, mix in self.candidates.items() if any(t.adapter == bundle for t in mix.bundles)}
        at_fault = any(term.adapter == bundle for term in self.mix.bundles)
        return replace(self, mix=NamedMix() if at_fault else self.mix, broken=self.broken | broken)


@dataclass(frozen=True)
class PlannedSteps:
    """The questions that a question was divided into, and who answers each."""

    questions: tuple[str, ...]
    """Later ones with places for the answers of earlier ones."""
    routed: tuple[RoutedPrompt, ...]


class PromptRouting:
    """The way of prompts to the router, over one catalogue and for one caller."""

    def __init__(
        self,
        router: Router | None,
        tokenizer: Tokenizer,
        catalogue: Catalogue,
        principal: Principal,
        fallback: Literal["base", "error"],
        for_tools: str | None = None,
    ) -> None:
        """router: None where it is switched off. fallback: what happens where the router cannot say.

        for_tools: the adapter that answers where functions may be called, if the catalogue has it.
        """
        self._router = router
        self._tokenizer = tokenizer
        self._catalogue = catalogue
        self._salt = principal.salt
        self._fallback = fallback
        self._for_tools = for_tools

    async def steps_of(self, body: ChatRequest | CompletionRequest) -> PlannedSteps | None:
        """The steps that the planner divides the question of ``body`` into, and who answers each.

        None where it asks for one thing, is not a single text, or may call functions. Raises as `all_of` does.
        """
        question = _question(body)
        plan = plan_of(question) if question is not None else None
        if plan is None:
            return None
        routed = await asyncio.gather(*(self._routed(with_example_answers(step)) for step in plan.steps))
        return PlannedSteps(plan.steps, tuple(routed))

    async def all_of(self, body: ChatRequest | CompletionRequest) -> tuple[RoutedPrompt, ...]:
        """Who answers each prompt of ``body``, in order; messages are one. Raises InvalidRequest, AdapterNotFound."""
        if isinstance(body, ChatRequest):
            if body.toolset() is not None and (mix := self._mix_for_tools()) is not None:
                return (RoutedPrompt(mix),)
            return (await self._routed([message.plain() for message in body.messages]),)
        routed = await asyncio.gather(*map(self._routed, body.prompts()))
        # The answer's head names everybody who answers, and several prompts would not have begun by then.
        return tuple(routed if len(routed) == 1 else [one.settled(None) for one in routed])

    def _mix_for_tools(self) -> NamedMix | None:
        """The adapter that knows how to call functions: no meaning of a text tells that it is needed."""
        entry = None if self._for_tools is None else self._catalogue.find(self._for_tools)
        return NamedMix((Term(entry),)) if entry is not None and entry.is_good else None

    async def _routed(self, prompt: Sequence[dict[str, str]] | str | tuple[int, ...]) -> RoutedPrompt:
        if self._router is None:
            return RoutedPrompt(NamedMix(), trouble="the router is switched off")
        try:
            answer = await self._router.route(await self._messages(prompt), self._salt)
        except Exception as raised:
            error = as_core_error(raised)
            if self._fallback != "base" or isinstance(error, InvalidRequest):
                raise error from raised
            logger.warning("the base model answers, because the router failed: %s", error.message)
            return RoutedPrompt(NamedMix(), trouble=f"router: {error.code}: {error.message}")
        return self._found(answer)

    def _found(self, answer: RouteAnswer) -> RoutedPrompt:
        found = {term: self._catalogue.find(term.adapter) for term in answer.mix}
        missing = [term.adapter for term, entry in found.items() if entry is None]
        if missing and self._fallback != "base":
            raise self._catalogue.not_found(missing[0])
        if missing:
            return RoutedPrompt(NamedMix(), answer, f"{missing[0]}: no longer in the catalogue")
        mix = NamedMix(tuple(term.called(entry) for term, entry in found.items() if entry is not None))
        return RoutedPrompt(mix, answer, candidates=self._candidates(answer, mix))

    def _candidates(self, answer: RouteAnswer, mix: NamedMix) -> Mapping[str, NamedMix]:
        """The adapters that a replica may choose: the likeliest so far, or all, and what the router chose."""
        if answer.left_open is None:
            return {}
        said = answer.left_open.turns[-1].margins
        names = sorted(answer.left_open.names, key=lambda name: said.get(name, 0.0), reverse=True)
        if not said and len(names) > MOST_CANDIDATES:
            return {}
        chosen = {term.adapter.public_name: mix for term in mix.terms}
        entries = {name: self._catalogue.find(name) for name in names[:MOST_CANDIDATES]}
        return chosen | {n: NamedMix((Term(e),)) for n, e in entries.items() if e is not None and e.is_good}

    async def _messages(self, prompt: Sequence[dict[str, str]] | str | tuple[int, ...]) -> Sequence[dict[str, str]]:
        """The messages for the router, which reads text."""
        if isinstance(prompt, str):
            return [{"role": "user", "content": prompt}]
        ids = tuple(token for token in prompt if isinstance(token, int))
        if not ids:
            return [message for message in prompt if isinstance(message, dict)]
        try:
            text = await self._tokenizer.detokenize(DetokenizeCall(ids, self._salt, skip_special=True))
        except Exception as raised:
            error = as_core_error(raised)
            if isinstance(error, InvalidRequest):
                error.param = "prompt"  # as the request calls it
            raise error from raised
        return [{"role": "user", "content": text}]


def _question(body: ChatRequest | CompletionRequest) -> str | None:
    """The text of the last message, or of the only prompt; None for anything else."""
    if isinstance(body, CompletionRequest):
        prompts = body.prompts()
        return prompts[0] if len(prompts) == 1 and isinstance(prompts[0], str) else None
    last = body.messages[-1]
    if last.role != "user" or body.toolset() is not None:
        return None
    text: str = last.plain()["content"]
    return text
