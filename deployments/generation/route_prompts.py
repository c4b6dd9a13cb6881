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
from adaptrix_core.routing.conversation import user_turns
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from deployments.callers.principal import Principal
from deployments.generation.model_names import NamedMix
from deployments.generation.ports import Router, Tokenizer
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.catalogue import View
from deployments.shared.errors import as_core_error
from deployments.shared.token_calls import DetokenizeCall
from deployments.shared.wire import RouteAnswer

logger = logging.getLogger(__name__)

MOST_CANDIDATES = 8
"""Most adapters that a replica chooses from at the cut. All of them are kept in host memory until it has chosen, and
among many with one example each the trunk's vote misleads the embedder's (``benchmarks.routing topics``)."""

Prompt = Sequence[dict[str, str]] | str | tuple[int, ...]
"""Messages, a text, or token ids."""


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
    turns: tuple[str, ...] = ()
    """Where there are candidates, the turns that are routed."""
    falls_back: bool = True
    """Whether the base model may answer where nobody can say who should."""
    broken: frozenset[str] = frozenset()
    """Candidates that cannot be used: the base model answers in place of them."""
    composed: Mapping[str, InvalidRequest | None] = field(default_factory=dict)
    """Candidates that are compositions of several rows or steps, each with what of the request it cannot honour: a
    replica that chooses one refuses the call, as one call cannot answer so, and then it answers (`settled_on`)."""

    @property
    def deferral(self) -> Deferral | None:
        """What the replica needs to settle it; None where ``mix`` is final."""
        if not self.candidates:
            return None
        bundles = {name: mix.bundles for name, mix in self.candidates.items()}
        return Deferral(self.turns, bundles, self.route, self.broken, falls_back=self.falls_back)

    def settled(self, choice: SettledChoice | None) -> RoutedPrompt:
        """The same with what a replica has settled; None: what the router said holds."""
        if choice is None:
            return replace(self, candidates={})
        chosen = choice.answer.adapter if choice.mix else None
        mix = NamedMix() if chosen is None else self.candidates[chosen]
        return replace(self, mix=mix, route=choice.answer, trouble=choice.trouble, candidates={})

    def settled_on(self, bundle: str | None, route: RouteAnswer) -> RoutedPrompt | None:
        """The same with the composition in this bundle, which a replica has chosen; None for any other bundle.

        Raises InvalidRequest where it cannot honour the request, and nobody else may answer.
        """
        for name, refusal in self.composed.items():
            if any(term.adapter == bundle for term in self.candidates[name].bundles):
                chosen = replace(self, mix=self.candidates[name], route=route, candidates={})
                return chosen if refusal is None else chosen.given_up(refusal, self.falls_back)
        return None

    def given_up(self, refusal: InvalidRequest, falls_back: bool) -> RoutedPrompt:
        """The base model in place of a composition that cannot honour the request: nobody has named it.

        Raises ``refusal`` where the base model may not answer.
        """
        if not falls_back:
            raise refusal
        return replace(self, mix=NamedMix(), trouble=f"{self.mix.label}: {refusal.code}: {refusal.message}")

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
        view: View,
        principal: Principal,
        fallback: Literal["base", "error"],
        for_tools: str | None = None,
        replicas_ask: bool = False,
    ) -> None:
        """router: None where it is switched off. fallback: what happens where the router cannot say.

        for_tools: the adapter that answers where functions may be called, if the catalogue has it. replicas_ask:
        whether replicas ask the router themselves, beside their computing, as they do where the trunk has a vote.
        """
        self._router = router
        self._tokenizer = tokenizer
        self._view = view
        self._salt = principal.salt
        self._fallback = fallback
        self._for_tools = for_tools
        self._replicas_ask = replicas_ask

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
            return (await self.one([message.plain() for message in body.messages]),)
        prompts = body.prompts()
        if len(prompts) == 1:
            return (await self.one(prompts[0]),)
        routed = await asyncio.gather(*map(self._routed, prompts))
        # The answer's head names everybody who answers, and several prompts would not have begun by then.
        return tuple(one.settled(None) for one in routed)

    async def one(self, prompt: Prompt) -> RoutedPrompt:
        """Who answers the only prompt of a request. Raises as `all_of`."""
        return self._left_to_a_replica(prompt) or await self._routed(prompt)

    def _left_to_a_replica(self, prompt: Prompt) -> RoutedPrompt | None:
        """The prompt, of which nothing is known here; None where the router has to be asked before.

        It has to where a text is not at hand, and where there are more adapters than a replica chooses from.
        """
        if not self._replicas_ask or self._router is None or not prompt or isinstance(prompt[0], int):
            return None
        turns = tuple(user_turns(_messages(prompt)))
        entries = [entry for entry in self._view.newest() if entry.description or entry.examples]
        if not turns or not 0 < len(entries) <= MOST_CANDIDATES:
            return None
        candidates = {entry.public_name: NamedMix((Term(entry),)) for entry in entries}
        return RoutedPrompt(NamedMix(), candidates=candidates, turns=turns, falls_back=self._fallback == "base")

    def _mix_for_tools(self) -> NamedMix | None:
        """The adapter that knows how to call functions: no meaning of a text tells that it is needed."""
        entry = None if self._for_tools is None else self._view.find(self._for_tools)
        return NamedMix((Term(entry),)) if entry is not None and entry.is_good else None

    async def _routed(self, prompt: Prompt) -> RoutedPrompt:
        if self._router is None:
            return RoutedPrompt(NamedMix(), trouble="the router is switched off")
        try:
            messages = await self._text_of(prompt)
            answer = await self._router.route(messages, self._salt)
        except Exception as raised:
            error = as_core_error(raised)
            if self._fallback != "base" or isinstance(error, InvalidRequest):
                raise error from raised
            logger.warning("the base model answers, because the router failed: %s", error.message)
            return RoutedPrompt(NamedMix(), trouble=f"router: {error.code}: {error.message}")
        return self._found(answer, messages)

    def _found(self, answer: RouteAnswer, messages: Sequence[dict[str, str]]) -> RoutedPrompt:
        found = {term: self._view.find(term.adapter) for term in answer.mix}
        missing = [term.adapter for term, entry in found.items() if entry is None]
        if missing and self._fallback != "base":
            raise self._view.not_found(missing[0])
        if missing:
            return RoutedPrompt(NamedMix(), answer, f"{missing[0]}: no longer in the catalogue")
        mix = NamedMix(tuple(term.called(entry) for term, entry in found.items() if entry is not None))
        candidates = self._candidates(answer, mix)
        turns = tuple(user_turns(messages)) if candidates else ()
        return RoutedPrompt(mix, answer, candidates=candidates, turns=turns)

    def _candidates(self, answer: RouteAnswer, mix: NamedMix) -> Mapping[str, NamedMix]:
        """The adapters that a replica may choose: all, and none where they are many."""
        if answer.left_open is None or len(answer.left_open.names) > MOST_CANDIDATES:
            return {}
        chosen = {term.adapter.public_name: mix for term in mix.terms}
        entries = {name: self._view.find(name) for name in answer.left_open.names}
        return chosen | {n: NamedMix((Term(e),)) for n, e in entries.items() if e is not None and e.is_good}

    async def _text_of(self, prompt: Prompt) -> Sequence[dict[str, str]]:
        """The messages for the router, which reads text."""
        ids = () if isinstance(prompt, str) else tuple(token for token in prompt if isinstance(token, int))
        if not ids:
            return _messages(prompt)
        try:
            text = await self._tokenizer.detokenize(DetokenizeCall(ids, self._salt, skip_special=True))
        except Exception as raised:
            error = as_core_error(raised)
            if isinstance(error, InvalidRequest):
                error.param = "prompt"  # as the request calls it
            raise error from raised
        return [{"role": "user", "content": text}]


def _messages(prompt: Prompt) -> Sequence[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [message for message in prompt if isinstance(message, dict)]


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
