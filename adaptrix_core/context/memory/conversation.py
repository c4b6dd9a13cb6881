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
from adaptrix_core.context.memory.sizes import prompt_sizes
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
    ) -> None:
        """adapter: who answers, ``"auto"`` for the router's choice. relevance: by the router's embedder where there is
        one, else by words. budget: most tokens of a prompt; as many as the context holds beside an answer where it is
        None.
        """
        if adapter == AUTO and router is None:
            raise InvalidRequest("adapter 'auto' needs a router; give one, or name an adapter", param="adapter")
        self._engine = engine
        self._router = router
        self._relevance = relevance or _relevance_of(router)
        self._budget = budget
        self._bounds = bounds or Bounds()
        self._left_out: set[int] = set()
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
        selection = self._select(conversation, params)
        adapter = self._who(messages)
        (completion,) = self._engine.generate([conversation.messages(selection.kept)], adapter, params)
        answered_by = _label(adapter)
        self._left_out = set(selection.left_out)
        self.turns.append(PastTurn(question, completion.text, answered_by, time.time()))
        return Reply(completion, answered_by, selection)

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
        """Forget one turn, numbered from 0, or all. Raises InvalidRequest for a number that no turn has."""
        if number is None:
            self.turns.clear()
            self._left_out.clear()
            return
        if not 0 <= number < len(self.turns):
            raise InvalidRequest(f"there is no turn {number}; the conversation has {len(self.turns)}, from 0")
        del self.turns[number]
        self._left_out = {one - (one > number) for one in self._left_out if one != number}

    def export(self) -> dict[str, Any]:
        """All that is remembered, as JSON has it; `restore` reads it."""
        return {
            "form": FORM,
            "system": self.system,
            "turns": [asdict(turn) for turn in self.turns],
            "left_out": sorted(self._left_out),
        }

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Go on with a conversation that `export` has written, in place of this one. Raises InvalidRequest."""
        if exported.get("form") != FORM:
            raise InvalidRequest(f"the conversation is of form {exported.get('form')!r}; this version reads {FORM}")
        try:
            turns = [PastTurn(**turn) for turn in exported["turns"]]
            left_out = {int(number) for number in exported["left_out"] if 0 <= int(number) < len(turns)}
            for turn in turns:
                _require_texts(turn)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest(f"this is no exported conversation: {error}; export one again") from error
        self.system = exported.get("system")
        self.turns, self._left_out = turns, left_out

    def _select(self, conversation: Exchanges, params: SamplingParams | None) -> Selection:
        sizes = prompt_sizes(self._engine.base, conversation)
        budget = self._room(params) if self._budget is None else min(self._budget, self._room(params))
        relevance = None
        if not is_settled(sizes.exchanges, budget, sizes.opening, self._left_out):
            relevance = self._relevance.of(conversation.turns[-1].question, conversation.turns[:-1])
        return select(
            sizes.exchanges,
            budget,
            opening=sizes.opening,
            relevance=relevance,
            recall_from=self._relevance.recall_from,
            left_out=self._left_out,
        )

    def _room(self, params: SamplingParams | None) -> int:
        return prompt_room(self._engine.max_row_tokens, None if params is None else params.max_tokens)

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


def _require_texts(turn: PastTurn) -> None:
    for name in ("question", "answer", "answered_by"):
        if not isinstance(getattr(turn, name), str):
            raise TypeError(f"{name} is no text")


def _label(adapter: AdapterChoice) -> str:
    if adapter is None or isinstance(adapter, str):
        return adapter or ""
    if isinstance(adapter, Mapping):
        return "+".join(map(str, adapter))
    return "+".join(str(term.adapter) for term in adapter)
