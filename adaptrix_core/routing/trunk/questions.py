"""What a question is about, by the base model's own reading of it alone: compositions begin by that (``about``).

The rule is that of `auto` without a router and an embedder: among the adapters that are asked about, each with its
threshold, near-ties and follow-ups included. Knows cards, turns and probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cachetools import LRUCache

from adaptrix_core.base.question_tokens import TokenRange, question_ranges
from adaptrix_core.engine import Engine
from adaptrix_core.engine.deferred import Means
from adaptrix_core.engine.groups.beginning import Question
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing.catalogue import RouteCard, card_of
from adaptrix_core.routing.conversation import user_turns
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.reading import reader_of
from adaptrix_core.routing.trunk.settlement import OpenChoice, settled
from adaptrix_core.routing.trunk.without_router import choice_without_router

FITTED = 64
"""Lists of adapters whose probes are kept, the recently used ones (LRU)."""


class QuestionsOf:
    """Reads the questions of one engine that the calling thread drives. See `QuestionReader`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read = reader_of(engine)
        self._known: LRUCache[tuple[RouteCard, ...], FittedTrunk] = LRUCache(FITTED)

    def __call__(self, prompt: Any, token_ids: Sequence[int], about: Sequence[str]) -> Question:
        """See `QuestionReader`. The texts of an adapter are read through the trunk when it is first asked about."""
        check_readable(self._engine)
        cards = tuple(self._card(name) for name in about)
        fitted = self._known.get(cards)
        if fitted is None:
            fitted = self._known[cards] = TrunkSignal(self._read).fit(cards)
        turns = turns_of(prompt)
        ranges = question_ranges(self._engine.base, prompt, token_ids, len(turns)) if turns else ()
        return question_about([card.name for card in cards], fitted, turns, ranges)

    def _card(self, name: str) -> RouteCard:
        return checked_card(card_of(self._engine.chosen.metadata(name)))


def check_readable(engine: Engine) -> None:
    """Raise InvalidRequest where no question can be read at the cut of this engine."""
    lacks = "cut" if engine.options.cut is None else "tokenizer" if engine.base.tokenizer is None else ""
    if lacks:
        raise InvalidRequest(
            f"a rule asks what the question is about, and this engine has no {lacks}, so its base model does not tell; "
            "set engine.cut to the layer from which the adapters act, or leave the rule out",
            param="adaptrix.compose",
        )


def checked_card(card: RouteCard) -> RouteCard:
    """The card; raises InvalidRequest where it has no text that a question could be compared with."""
    if not card.texts:
        raise InvalidRequest(
            f"a rule asks whether the question is about {card.name!r}, which has neither a description nor routing "
            "examples; give it some, or ask about another adapter",
            param="adaptrix.compose",
        )
    return card


def turns_of(prompt: str | Sequence[int] | Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The texts of the latest turns of the user, in order; of a text that is all of it, of token ids one without text.

    Raises InvalidRequest for messages that are not text.
    """
    if not prompt or isinstance(prompt, str):
        return (prompt,) if isinstance(prompt, str) and prompt else ()
    if isinstance(prompt[0], int):
        return ("",)
    return tuple(user_turns(prompt))  # type: ignore[arg-type]


def question_about(
    names: Sequence[str], trunk: FittedTrunk, turns: Sequence[str], ranges: tuple[TokenRange, ...]
) -> Question:
    """The question of a prompt, for rules of which each asks about one of ``names``, which have a probe.

    turns, ranges: the user's, and where they stand in the prompt. The first call takes a moment.
    """
    if not ranges or len(ranges) != len(turns):
        return Question((), lambda _: None)
    return Question(ranges, partial(_rule, choice_without_router(turns, names, None), trunk))


def _rule(choice: OpenChoice, trunk: FittedTrunk, means: Means | None) -> int | None:
    """Number of the rule about the adapter that the question is for; None where it is for none of them."""
    decision = settled(choice, trunk, means)
    return None if decision is None or decision.adapter is None else choice.names.index(decision.adapter)
