"""Summaries of what prompts leave out, as `Conversation` has them written: one each time that more is left out."""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.context.memory.selection import prompt_room
from adaptrix_core.context.memory.sizes import chat_size
from adaptrix_core.context.memory.summary import NO_SUMMARY, Summary, summary_request
from benchmarks.memory.recall import Held

AT_ONCE = 8
"""Summaries of one batch, each of another conversation."""


def summarised(engine: Engine, conversations: Sequence[Held], tokens: int) -> list[Summary]:
    """The summary of each conversation when its last question is asked. tokens: most of one summary."""
    return [
        summary
        for start in range(0, len(conversations), AT_ONCE)
        for summary in _of_some(engine, conversations[start : start + AT_ONCE], tokens)
    ]


def _of_some(engine: Engine, conversations: Sequence[Held], tokens: int) -> list[Summary]:
    summaries = [NO_SUMMARY for _ in conversations]
    room = prompt_room(engine.max_row_tokens, tokens)
    params = SamplingParams(max_tokens=tokens, temperature=0.0)
    for prompt in range(max(len(one.left_out) for one in conversations)):
        requests = []
        for number, one in enumerate(conversations):
            unread = summaries[number].unread(one.left_out[prompt])
            turns = [one.whole.turns[turn] for turn in unread]
            asked = summary_request(summaries[number], turns, lambda told: chat_size(engine.base, told) <= room)
            if unread and asked is not None:
                requests.append((number, unread, asked))
        written = engine.generate([asked for _, _, asked in requests], None, params) if requests else []
        for (number, unread, _), answer in zip(requests, written, strict=True):
            summaries[number] = Summary(answer.text.strip(), summaries[number].turns | set(unread))
    return summaries
