"""A conversation with an engine that lasts longer than the model's context.

It keeps what was said, and by whom it was answered, and puts into each prompt what fits and matters. What it keeps is
bounded, can be written out and read again, and can be forgotten turn by turn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adaptrix_core.context.memory.exchanges import Exchanges, in_exchanges
from adaptrix_core.context.memory.relevance import Relevance, RelevanceByMeaning, RelevanceByWords
from adaptrix_core.context.memory.selection import Selection, is_settled, prompt_room, select
from adaptrix_core.context.memory.sizes import chat_size, prompt_sizes
from adaptrix_core.context.memory.summary import NO_SUMMARY, Summary, messages_with, recap, summary_request
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.engine import Engine
from adaptrix_core.engine.request import Completion, SamplingParams
from adaptrix_core.errors import InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.routing.semantic import SemanticRouter

AUTO = "auto"
"""The adapter that stands for the router's choice."""

FORM = 1
"""Number of the form that `Conversation.export` writes."""

SUMMARY_SHARE = 4
"""Part of the context, one in so many tokens, that a summary may have at most: the turns themselves say more."""


@dataclass(frozen=True)
class PastTurn:
    """A question and its answer, as they are remembered."""

    question: str
    answer: str
    answered_by: str = ""
    """The adapter or mix; empty for the base model."""
    asked_at: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Bounds:
    """The most that a conversation keeps; beyond it the oldest turns are forgotten for good."""

    turns: int = 512
    characters: int = 1 << 20
    age_s: float | None = None
    """Seconds after which a turn is forgotten; None: never."""


@dataclass(frozen=True)
class Reply:
    """An answer, and what its prompt held."""

    completion: Completion
    answered_by: str
    """The adapter or mix; empty for the base model."""
    selection: Selection
    """Which turns, numbered from 0, were in the prompt; the last one is the question."""
    summary: str = ""
    """What the prompt told of the turns that it left out; empty where no summary is asked for."""

    @property
    def text(self) -> str:
        """The answer."""
        return self.completion.text


class Conversation:
    """Questions and answers in turn. Belongs to the engine's thread."""

    def __init__(
        self,
        engine: Engine,
        *,
        system: str | None = None,
        adapter: AdapterChoice = None,
        router: SemanticRouter | None = None,
        relevance: Relevance | None = None,
        budget: int | None = None,
        bounds: Bounds | None = None,
        summary_tokens: int | None = None,
    ) -> None:
        """adapter: who answers, ``"auto"`` for the router's choice. relevance: by the router's embedder where there is
        one, else by words. budget: most tokens of a prompt; as many as the context holds beside an answer where it is
        None. summary_tokens: most tokens of a summary of what is left out, which the base model writes whenever more
        is, before it answers; None: no summary. Raises InvalidRequest.
        """
        if adapter == AUTO and router is None:
            raise InvalidRequest("adapter 'auto' needs a router; give one, or name an adapter", param="adapter")
        most = max(1, engine.max_row_tokens // SUMMARY_SHARE)
        if summary_tokens is not None and not 1 <= summary_tokens <= most:
            raise InvalidRequest(
                f"summary_tokens is {summary_tokens}; allowed: 1 to {most}, a part of the context of "
                f"{engine.max_row_tokens} tokens",
                param="summary_tokens",
            )
        self._engine = engine
        self._router = router
        self._relevance = relevance or _relevance_of(router)
        self._budget = budget
        self._bounds = bounds or Bounds()
        self._left_out: set[int] = set()
        self._summary_tokens = summary_tokens
        self._summary = NO_SUMMARY
        self.system = system
        self.adapter = adapter
        self.turns: list[PastTurn] = []

    def ask(self, question: str, params: SamplingParams | None = None) -> Reply:
        """The answer to one more question; both are remembered once it is there.

        Raises ContextLengthExceeded where the question alone is too long, and what `Engine.generate` raises; nothing
        is remembered then.
        """
        self._forget_what_is_over()
        messages = [*self.messages(), {"role": "user", "content": question}]
        conversation = in_exchanges(messages)
        room = self._room(params)
        selection = self._select(conversation, room)
        adapter = self._who(messages)
        summary = self._summarised(conversation, selection)
        told = summary if selection.left_out else NO_SUMMARY
        prompt = messages_with(told, conversation, selection.kept)
        if told.text and chat_size(self._engine.base, prompt) > room:
            told, prompt = NO_SUMMARY, conversation.messages(selection.kept)
        (completion,) = self._engine.generate([prompt], adapter, params)
        answered_by = _label(adapter)
        self._left_out, self._summary = set(selection.left_out), summary
        self.turns.append(PastTurn(question, completion.text, answered_by, time.time()))
        return Reply(completion, answered_by, selection, told.text)

    def messages(self) -> list[Mapping[str, str]]:
        """The whole conversation as chat messages."""
        opening = [{"role": "system", "content": self.system}] if self.system else []
        said = [
            {"role": role, "content": text}
            for turn in self.turns
            for role, text in (("user", turn.question), ("assistant", turn.answer))
        ]
        return [*opening, *said]

    def forget(self, number: int | None = None) -> None:
        """Forget one turn, numbered from 0, or all. Raises InvalidRequest for a number that no turn has.

        A summary may tell of it, so it is forgotten too, and written anew from what is left.
        """
        if number is not None and not 0 <= number < len(self.turns):
            raise InvalidRequest(f"there is no turn {number}; the conversation has {len(self.turns)}, from 0")
        self._summary = NO_SUMMARY
        if number is None:
            self.turns.clear()
            self._left_out.clear()
            return
        del self.turns[number]
        self._left_out = {one - (one > number) for one in self._left_out if one != number}

    def export(self) -> dict[str, Any]:
        """All that is remembered, as JSON has it; `restore` reads it."""
        return {
            "form": FORM,
            "system": self.system,
            "turns": [asdict(turn) for turn in self.turns],
            "left_out": sorted(self._left_out),
            "summary": {"text": self._summary.text, "turns": sorted(self._summary.turns)},
        }

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Go on with a conversation that `export` has written, in place of this one. Raises InvalidRequest."""
        form = exported.get("form") if isinstance(exported, Mapping) else None
        if form != FORM:
            raise InvalidRequest(f"the conversation is of form {form!r:.60}; this version reads {FORM}")
        try:
            turns = [PastTurn(**turn) for turn in exported["turns"]]
            left_out = _turn_numbers(exported["left_out"], len(turns))
            told = exported.get("summary") or {"text": "", "turns": ()}
            summary = Summary(told["text"], frozenset(_turn_numbers(told["turns"], len(turns))))
            system = exported.get("system")
            for turn in turns:
                _require_texts(turn.question, turn.answer, turn.answered_by)
                float(turn.asked_at)
            _require_texts(summary.text, system or "")
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest(f"this is no exported conversation: {error!s:.200}; export one again") from error
        self.system = system
        self.turns, self._left_out, self._summary = turns, left_out, summary

    def _select(self, conversation: Exchanges, budget: int) -> Selection:
        sizes = prompt_sizes(self._engine.base, conversation)
        if is_settled(sizes.exchanges, budget, sizes.opening, self._left_out):
            return select(sizes.exchanges, budget, opening=sizes.opening)
        spare = max(0, budget - sizes.opening - sizes.exchanges[-1])
        return select(
            sizes.exchanges,
            budget,
            opening=sizes.opening + min(spare, self._summary_room()),
            relevance=self._relevance.of(conversation.turns[-1].question, conversation.turns[:-1]),
            recall_from=self._relevance.recall_from,
            left_out=self._left_out,
        )

    def _summary_room(self) -> int:
        """Tokens that a summary takes in a prompt, at most."""
        if self._summary_tokens is None:
            return 0
        return chat_size(self._engine.base, recap("")) + self._summary_tokens

    def _summarised(self, conversation: Exchanges, selection: Selection) -> Summary:
        """The summary of what is left out: the one that is known, or a new one where more is left out than it tells."""
        if self._summary_tokens is None:
            return NO_SUMMARY
        unread = self._summary.unread(selection.left_out)
        if not unread:
            return self._summary
        room = prompt_room(self._engine.max_row_tokens, self._summary_tokens)
        asked = summary_request(
            self._summary,
            [conversation.turns[number] for number in unread],
            lambda messages: chat_size(self._engine.base, messages) <= room,
        )
        if asked is None:
            return self._summary
        greedy = SamplingParams(max_tokens=self._summary_tokens, temperature=0.0)
        (written,) = self._engine.generate([asked], None, greedy)
        return Summary(written.text.strip(), self._summary.turns | set(unread))

    def _room(self, params: SamplingParams | None) -> int:
        """Most tokens of a prompt."""
        room = prompt_room(self._engine.max_row_tokens, None if params is None else params.max_tokens)
        return room if self._budget is None else min(self._budget, room)

    def _who(self, messages: Sequence[Mapping[str, str]]) -> AdapterChoice:
        """The router reads the whole conversation, so what is left out of the prompt changes nothing for it."""
        if self.adapter != AUTO or self._router is None:
            return self.adapter
        return self._router.decide(messages).adapter

    def _forget_what_is_over(self) -> None:
        bounds, now = self._bounds, time.time()
        size = sum(len(turn.question) + len(turn.answer) for turn in self.turns)
        while self.turns and (
            len(self.turns) >= bounds.turns
            or size > bounds.characters
            or (bounds.age_s is not None and self.turns[0].asked_at < now - bounds.age_s)
        ):
            size -= len(self.turns[0].question) + len(self.turns[0].answer)
            self.forget(0)


def _relevance_of(router: SemanticRouter | None) -> Relevance:
    embedder = None if router is None else router.embedder
    return RelevanceByWords() if embedder is None else RelevanceByMeaning(embedder.embed)


def _turn_numbers(numbers: Sequence[Any], count: int) -> set[int]:
    return {int(number) for number in numbers if 0 <= int(number) < count}


def _require_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r:.60} is no text")


def _label(adapter: AdapterChoice) -> str:
    if adapter is None or isinstance(adapter, str):
        return adapter or ""
    if isinstance(adapter, Mapping):
        return "+".join(map(str, adapter))
    return "+".join(str(term.adapter) for term in adapter)
