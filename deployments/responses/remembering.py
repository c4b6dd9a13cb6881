"""The memory of a conversation that is too long for the context: which of its turns the replica is sent.

The rule is the core's (`adaptrix_core/context/memory`). This asks a replica for sizes and the router for embeddings,
and where there are none, it compares words. A conversation that surely fits costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adaptrix_core.context.memory.exchanges import ASKING, Exchange, Exchanges, in_exchanges
from adaptrix_core.context.memory.relevance import (
    EXCERPT_CHARACTERS,
    RelevanceByMeaning,
    RelevanceByWords,
    compared_texts,
    nearest,
)
from adaptrix_core.context.memory.selection import Selection, is_settled, prompt_room, select
from adaptrix_core.errors import ContextLengthExceeded
from deployments.callers.principal import Principal
from deployments.openai.schemas import ChatRequest
from deployments.shared.errors import as_core_error
from deployments.shared.token_calls import CountCall, Counted

logger = logging.getLogger(__name__)

EMBEDDING_WAIT_S = 10.0
"""Longest wait for embeddings, in seconds; then words are compared."""
FRAME_BYTES = 64
"""Bytes that a chat template adds around a message, at most, for the guess whether a conversation surely fits."""
SPARE_TOKENS = 8
"""Tokens left free in a prompt whose parts were counted one by one."""


class CountsTokens(Protocol):
    """The part of the base model's tokenizer that is used here (`generation/ports.py`)."""

    async def count(self, call: CountCall) -> Counted:
        """The sizes of a conversation's parts."""


class EmbedsTexts(Protocol):
    """Embeds texts (`http/services.py` has the router as one)."""

    async def embed(
        self, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        """One vector of length 1 for each text, and how many tokens were read."""


@dataclass(frozen=True)
class Memory:
    """What the prompt of a conversation holds, told in the keys of its turns."""

    left_out: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()
    relevance: str | None = None
    """What the turns were compared by: ``embedding``, ``words``, or nothing."""
    question_is_cut: bool = False
    """Whether the question alone is too long, and has lost its beginning."""

    @property
    def told(self) -> dict[str, Any] | None:
        """The form in which answers tell it; None where all is in the prompt."""
        if not (self.left_out or self.recalled or self.question_is_cut):
            return None
        cut = {"question_is_cut": True} if self.question_is_cut else {}
        told = {"left_out": list(self.left_out), "recalled": list(self.recalled), "relevance": self.relevance}
        return {**told, **cut}


NOTHING_LEFT_OUT = Memory()


@dataclass(frozen=True)
class _Compared:
    """Earlier turns compared with a question."""

    scores: list[float] | None = None
    """Of each turn; None where nothing can compare them."""
    by: str | None = None
    recall_from: float = 1.0


class Remembering:
    """Makes long conversations fit. One for each process."""

    def __init__(self, tokenizer: CountsTokens, embedding: EmbedsTexts | None) -> None:
        """embedding: None where there is no embedder."""
        self._tokenizer = tokenizer
        self._embedding = embedding
        self._context_length = 0
        """As a replica told it last; 0 before."""

    async def fit(
        self, body: ChatRequest, principal: Principal, keys: Sequence[str], left_out: Collection[str]
    ) -> tuple[ChatRequest, Memory]:
        """The request with the turns that its prompt has room for. Raises what counting tokens raises.

        keys: of each message by a user, in order: it names the turn that begins with it. left_out: keys of the turns
        that the prompt before had left out.
        """
        messages = tuple(message.plain() for message in body.messages)
        if not any(message["role"] == ASKING for message in messages) or self._surely_fits(body, left_out):
            return body, NOTHING_LEFT_OUT
        counted = await self._tokenizer.count(CountCall(messages, principal.salt, body.chat_options()))
        self._context_length = counted.context_length
        conversation = in_exchanges(messages)
        try:
            selection, relevance = await self._select(conversation, counted, body, principal, _numbers(keys, left_out))
        except ContextLengthExceeded:
            return self._cut(body, conversation, keys)
        memory = Memory(_keys(keys, selection.left_out), _keys(keys, selection.recalled), relevance)
        return _with_turns(body, conversation, selection.kept), memory

    async def _select(
        self,
        conversation: Exchanges,
        counted: Counted,
        body: ChatRequest,
        principal: Principal,
        left_out: Collection[int],
    ) -> tuple[Selection, str | None]:
        """The turns, and what they were compared by. Raises ContextLengthExceeded where the question is too long."""
        sizes = counted.sizes
        budget = max(1, prompt_room(counted.context_length, body.sampling().get("max_tokens")) - SPARE_TOKENS)
        compared = _Compared()
        if not is_settled(sizes.exchanges, budget, sizes.opening, left_out):
            question, earlier = conversation.turns[-1].question, conversation.turns[:-1]
            compared = await self._compared(question, earlier, principal.salt)
        selection = select(
            sizes.exchanges,
            budget,
            opening=sizes.opening,
            relevance=compared.scores,
            recall_from=compared.recall_from,
            left_out=left_out,
        )
        return selection, compared.by

    async def _compared(self, question: str, earlier: Sequence[Exchange], salt: bytes) -> _Compared:
        if self._embedding is not None:
            meaning = RelevanceByMeaning
            try:
                async with asyncio.timeout(EMBEDDING_WAIT_S):
                    scores = await self._by_meaning(self._embedding, question, earlier, salt)
                return _Compared(scores, meaning.name, meaning.recall_from)
            except Exception as raised:  # whatever has become of the router, the question can be answered
                logger.warning("turns are compared by words, not by meaning: %s", as_core_error(raised).message)
        words = RelevanceByWords()
        try:
            return _Compared(await asyncio.to_thread(words.of, question, earlier), words.name, words.recall_from)
        except ImportError as missing:
            logger.warning("the latest turns are kept, as turns cannot be compared: %s", missing)
            return _Compared()

    @staticmethod
    async def _by_meaning(embeds: EmbedsTexts, question: str, earlier: Sequence[Exchange], salt: bytes) -> list[float]:
        import numpy as np

        if not earlier:
            return []
        texts = [question[:EXCERPT_CHARACTERS], *compared_texts(earlier)]
        vectors, _ = await embeds.embed(texts, None, salt)
        rows = np.asarray(vectors, np.float32)
        return nearest(rows[1:] @ rows[0])

    def _surely_fits(self, body: ChatRequest, left_out: Collection[str]) -> bool:
        """Whether the conversation fits however it is tokenised: a token stands for a byte at least."""
        if left_out or not self._context_length:
            return False
        told = body.num_characters() * 4 + len(body.messages) * FRAME_BYTES
        return told <= prompt_room(self._context_length, body.sampling().get("max_tokens")) - SPARE_TOKENS

    @staticmethod
    def _cut(body: ChatRequest, conversation: Exchanges, keys: Sequence[str]) -> tuple[ChatRequest, Memory]:
        """The question alone, which loses its beginning token by token."""
        question = len(conversation.turns) - 1
        fitted = _with_turns(body, conversation, [question]).model_copy(update={"truncate_prompt_tokens": -1})
        return fitted, Memory(_keys(keys, range(question)), question_is_cut=True)


def _with_turns(body: ChatRequest, conversation: Exchanges, kept: Sequence[int]) -> ChatRequest:
    """The request with the messages of these turns, and all before the first one."""
    starts = [place for place, message in enumerate(body.messages) if message.role == ASKING]
    ends = [*starts[1:], len(body.messages)]
    messages = [*body.messages[: starts[0]], *(m for turn in kept for m in body.messages[starts[turn] : ends[turn]])]
    return body.model_copy(update={"messages": messages})


def _numbers(keys: Sequence[str], wanted: Collection[str]) -> list[int]:
    return [number for number, key in enumerate(keys) if key in wanted]


def _keys(keys: Sequence[str], numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(keys[number] for number in numbers)
