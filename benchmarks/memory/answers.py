"""Recall in answers: what is answered to the question for a fact that was told sixty turns ago.

By the base model, and by whom the router chooses from the whole conversation. The summaries of what prompts leave out
are measured beside it: whether the fact is in them, and whether they help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.context.memory.exchanges import ChatMessage
from adaptrix_core.context.memory.relevance import Relevance
from adaptrix_core.context.memory.summary import NO_SUMMARY, Summary, messages_with
from adaptrix_core.routing.semantic import SemanticRouter
from benchmarks.memory.conversations import FactConversation
from benchmarks.memory.recall import Held, base_tokenizer, held, share
from benchmarks.memory.summaries import summarised

SYSTEM = {
    "role": "system",
    "content": "You are a helpful assistant. The user told you facts about themselves; use them.",
}
ANSWER_TOKENS = 24
AT_ONCE = 8
"""Prompts of one batch."""


@dataclass(frozen=True)
class _Asked:
    """A conversation with one wording of its question, under one memory."""

    conversation: FactConversation
    held: Held
    summary: Summary = NO_SUMMARY

    @property
    def prompt(self) -> list[ChatMessage]:
        """The messages that are answered."""
        return [SYSTEM, *messages_with(self.summary, self.held.whole, self.held.last.kept)]


def run_answers(
    memories: Mapping[str, Relevance | None],
    told: Sequence[FactConversation],
    budget: int,
    summary_tokens: int | None,
    router: SemanticRouter,
) -> dict[str, object]:
    """The share of right answers under each memory, greedy. summary_tokens: of summaries; None for none."""
    engine, tokenize = Engine.from_pretrained("smollm2-135m"), base_tokenizer()
    for card in router.catalogue:
        engine.load_adapter(card.name)
    result: dict[str, object] = {}
    for name, relevance in memories.items():
        room = budget - (summary_tokens or 0)
        each = [held(one, (one.asked, one.reworded), room, relevance, tokenize) for one in told]
        for wording, of_wording in zip(("asked", "reworded"), zip(*each, strict=True), strict=True):
            asked = _asked(told, of_wording, engine, summary_tokens)
            base = _right(engine, asked, [None] * len(asked))
            chosen = [router.decide(one.held.whole.messages(range(len(one.held.whole.turns)))).adapter for one in asked]
            routed = _routed(engine, asked, chosen, base)
            row = {
                "in the prompt": sum(one.held.has(one.conversation.fact) for one in asked),
                "in the summary": sum(one.conversation.is_told_in(one.summary.text) for one in asked),
                "right": sum(base),
                "routed right": sum(routed),
                "to adapters": sum(adapter is not None for adapter in chosen),
            }
            rate, error = share(base)
            print(f"{name:16} {wording:9} {rate:6.1%} ±{error:5.1%} right   {row}", flush=True)
            result[f"{name}, {wording}"] = row
    return {"rows": result}


def _asked(
    told: Sequence[FactConversation], each: Sequence[Held], engine: Engine, summary_tokens: int | None
) -> list[_Asked]:
    summaries = [NO_SUMMARY] * len(each) if summary_tokens is None else summarised(engine, each, summary_tokens)
    return [_Asked(*one) for one in zip(told, each, summaries, strict=True)]


def _routed(engine: Engine, asked: Sequence[_Asked], chosen: Sequence[str | None], base: Sequence[bool]) -> list[bool]:
    """Whether each answer tells the fact, those of the base model as they are known."""
    to_adapters = [number for number, adapter in enumerate(chosen) if adapter is not None]
    told = _right(engine, [asked[number] for number in to_adapters], [chosen[number] for number in to_adapters])
    return [dict(zip(to_adapters, told, strict=True)).get(number, right) for number, right in enumerate(base)]


def _right(engine: Engine, asked: Sequence[_Asked], adapters: Sequence[str | None]) -> list[bool]:
    """Whether each answer tells the fact."""
    params = SamplingParams(max_tokens=ANSWER_TOKENS, temperature=0.0)
    right: list[bool] = []
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        answers = engine.generate([one.prompt for one in some], list(adapters[start : start + AT_ONCE]), params)
        right += [one.conversation.is_told_in(answer.text) for one, answer in zip(some, answers, strict=True)]
    return right
