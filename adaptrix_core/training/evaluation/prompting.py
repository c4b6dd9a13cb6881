"""Prompts for problems, and the generators that answer them.

A trained adapter gets the question as a user would type it. The untrained base gets the same question with the answer
format in words, alone or after solved examples as earlier turns of the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from adaptrix_core.base.chat_options import ChatOptions
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.request import TokenEvent
from adaptrix_core.engine.rows.call_grammar import CallRules
from adaptrix_core.tools.toolset import Toolset
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.tasks.families import TaskFamily
from adaptrix_core.training.tasks.problem import Problem

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class PromptWithTools:
    """A conversation whose answer may call functions."""

    messages: Sequence[Mapping[str, Any]]
    toolset: Toolset


Prompt = Messages | PromptWithTools


class Generator(Protocol):
    """Continues conversations, greedily, under an adapter or none."""

    def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
        """One reply per conversation, in order; calls of functions stand in it as the model writes them."""
        ...


class EngineGenerator:
    """Replies from an `Engine`, at most ``batch_size`` conversations submitted at a time.

    Never more than the engine computes together: those that have to wait could be refused.
    """

    def __init__(self, engine: Engine, batch_size: int = 32) -> None:
        self._engine, self._batch_size = engine, min(batch_size, engine.options.max_rows)
        self._rules = CallRules(engine.base)

    def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
        """Greedy replies; all prompts of a batch run under the same adapter."""
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
        replies: list[str] = []
        for start in range(0, len(prompts), self._batch_size):
            batch = prompts[start : start + self._batch_size]
            plain = [prompt for prompt in batch if not isinstance(prompt, PromptWithTools)]
            said = iter(self._engine.generate(plain, adapters=adapter, params=params))
            called = iter(self._that_may_call(batch, adapter, params))
            replies.extend(next(called) if isinstance(one, PromptWithTools) else next(said).text for one in batch)
        return replies

    def _that_may_call(self, prompts: Sequence[Prompt], adapter: str | None, params: SamplingParams) -> list[str]:
        """Replies to those with functions, each under its own grammar, asked as in serving."""
        streams = []
        for prompt in prompts:
            if isinstance(prompt, PromptWithTools):
                token_ids = self._engine.base.encode_chat(prompt.messages, ChatOptions(toolset=prompt.toolset))
                held_to = replace(params, **self._rules.sampling(prompt.toolset))
                streams.append(self._engine.stream(token_ids, adapter, held_to))
        return _read_in_turns(streams)


def _read_in_turns(streams: Sequence[Iterator[TokenEvent]]) -> list[str]:
    """The texts of streams that are read together, so that all of them are in the running batch."""
    texts = [""] * len(streams)
    unfinished = dict(enumerate(streams))
    while unfinished:
        for place, stream in list(unfinished.items()):
            event = next(stream, None)
            if event is None:
                del unfinished[place]
            else:
                texts[place] += event.text
    return texts


def prompt_of(conversation: LearntConversation) -> Prompt:
    """All that stands before a conversation's reply."""
    if conversation.toolset is not None:
        return PromptWithTools(conversation.messages, conversation.toolset)
    return [dict(message) for message in conversation.messages]


def plain(problem: Problem) -> Messages:
    """The question alone."""
    return [{"role": "user", "content": problem.question}]


def instructed(problem: Problem, instruction: str, shots: Sequence[Problem] = ()) -> Messages:
    """Solved examples as earlier turns, then the question; every question carries the answer format in words."""
    messages: Messages = []
    for shot in shots:
        messages.append({"role": "user", "content": f"{shot.question}\n{instruction}"})
        messages.append({"role": "assistant", "content": shot.reference})
    return [*messages, {"role": "user", "content": f"{problem.question}\n{instruction}"}]


def base_prompts(family: TaskFamily, problems: Sequence[Problem], shots: int) -> list[Messages]:
    """`instructed` for problems of several tasks, each with its task's instruction and solved examples."""
    instructions = {task.name: task.instruction for task in family.tasks}
    solved = {task.name: family.shots(task, shots) if shots else [] for task in family.tasks}
    return [instructed(p, instructions[p.task], solved[p.task]) for p in problems]
