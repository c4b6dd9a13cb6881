"""Measure the router on held-out prompts.

Knows the measuring sets. Chooses nothing. The command is ``python -m benchmarks.routing measure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.conversation import Message
from adaptrix_core.routing.policy import NOTHING_KNOWN, Decision


class Decides(Protocol):
    """A way to decide who answers; `SemanticRouter` is one."""

    @property
    def catalogue(self) -> tuple[RouteCard, ...]:
        """The adapters to choose from."""

    def messages(self, texts: Sequence[str]) -> Any:
        """Read ``texts`` ahead, in batches, so that decisions find what was read."""

    def decide(
        self,
        messages: Sequence[Message],
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
    ) -> Decision:
        """See `SemanticRouter.decide`."""


@dataclass(frozen=True)
class Tally:
    """Rightly decided prompts of a set, and the others by name."""

    name: str
    right: int
    total: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        """``right / total``."""
        return self.right / self.total


def measure(router: Decides) -> tuple[Tally, ...]:
    """Held-out paraphrases by family, the same with other adapters warm, out-of-scope prompts, follow-ups and changed
    topics, in this order.

    Sets for adapters that are not in the catalogue are left out.
    """
    names = [card.name for card in router.catalogue]
    problems = [problem for problem in prompts.paraphrases() if problem.family in names]
    turns = [turn for turn in prompts.conversations("test") if turn.adapter in names]
    # Embedded once, in batches: the decisions below find the vectors in the embedder's cache.
    router.messages([*(p.prompt for p in problems), *prompts.out_of_scope("test"), *(t.then for t in turns)])
    tallies = [
        _tally(
            f"paraphrases: {name}", [(p.prompt, name, _alone(router, p.prompt)) for p in problems if p.family == name]
        )
        for name in names
        if any(problem.family == name for problem in problems)
    ]
    tallies += _warm(router, problems)
    outside = [(text, None, _alone(router, text)) for text in prompts.out_of_scope("test")]
    tallies.append(_tally("out of scope: base", outside))
    if turns:
        going_on = [(t.then, t.adapter, _second(router, t)) for t in turns if t.same_topic]
        changing = [(t.then, None, _second(router, t)) for t in turns if not t.same_topic]
        tallies += [_tally("follow-ups: adapter kept", going_on), _tally("topic changed: base", changing)]
    return tuple(tallies)


def _alone(router: Decides, text: str) -> Decision:
    return router.decide([{"role": "user", "content": text}])


def _warm(router: Decides, problems: Sequence[prompts.Paraphrase]) -> list[Tally]:
    """The same problems, each with another adapter on a device and its own on no replica."""
    decided = []
    for problem in problems:
        messages = [{"role": "user", "content": problem.prompt}]
        wanted = _adapter(_alone(router, problem.prompt))
        others = [card.name for card in router.catalogue if card.name != problem.family]
        decided += [(problem.prompt, wanted, router.decide(messages, residency={o: "device"})) for o in others]
    return [_tally("another adapter warm: no change", decided)] if decided else []


def _adapter(decision: Decision) -> str | None:
    return decision.adapter


def _second(router: Decides, turn: prompts.Turn) -> Decision:
    messages = [{"role": "user", "content": turn.first}, {"role": "user", "content": turn.then}]
    return router.decide(messages, previous=turn.adapter)


def _tally(name: str, decided: Sequence[tuple[str, str | None, Decision]]) -> Tally:
    wrong = [f"{text!r}: {decision.reason}" for text, wanted, decision in decided if decision.adapter != wanted]
    return Tally(name, len(decided) - len(wrong), len(decided), tuple(wrong))
