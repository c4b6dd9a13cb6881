"""Marks replies that may call functions: the decision, the function, the arguments, the answer after a result.

Knows conversations and the texts of replies. Does not know how replies are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adaptrix_core.tools.call_form import CallForm
from adaptrix_core.tools.call_reader import ArgumentsSaid, CallBegun, CallReader, SaidText
from adaptrix_core.tools.stated_prompt import RESULT
from adaptrix_core.training.evaluation.scoring import Score
from adaptrix_core.training.examples.conversation import LearntConversation

MEASURES: Mapping[str, str] = {
    "decision": "a call where the reference calls, a text without any where it doesn't",
    "function": "where the reference calls: one call, of its function",
    "arguments": "where the reference calls: one call, of its function, with equal arguments (as JSON)",
    "text": "where the reference answers a user in text: no call",
    "after a result": "where the reference answers a result: no call, all of the result that the reference repeats, "
    "and no markup of results, which a model that doesn't answer copies from its prompt",
}
_MARKUP = RESULT.partition("\n")[0]


@dataclass
class ReadReply:
    """A reply taken apart: its text, and its calls as (function, JSON text of the arguments)."""

    text: str = ""
    functions: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, reply: str, form: CallForm) -> ReadReply:
        """Read what a model has written in this form."""
        reader, read = CallReader(form), cls()
        for event in (*reader.read(reply), *reader.finish()):
            if isinstance(event, SaidText):
                read.text += event.text
            elif isinstance(event, CallBegun):
                read.functions.append(event.function)
                read.arguments.append("")
            elif isinstance(event, ArgumentsSaid):
                read.arguments[event.index] += event.text
        return read


def marks(conversation: LearntConversation, reply: ReadReply) -> dict[str, bool]:
    """By measure, whether the reply is right; measures that say nothing of this conversation are left out."""
    wanted = [call["function"] for call in conversation.reply.get("tool_calls", ())]
    made = {"decision": bool(wanted) == bool(reply.functions)}
    if wanted:
        made["function"] = reply.functions == [call["name"] for call in wanted]
        both = zip(reply.arguments, (call["arguments"] for call in wanted), strict=False)
        made["arguments"] = made["function"] and all(_are_equal(said, meant) for said, meant in both)
    elif conversation.messages[-1]["role"] == "tool":
        repeated = repeated_values(conversation)
        answers = not reply.functions and _MARKUP not in reply.text
        made["after a result"] = answers and all(value in reply.text for value in repeated)
    else:
        made["text"] = not reply.functions
    return made


def repeated_values(conversation: LearntConversation) -> list[str]:
    """The values of the last result that the reference says again, as texts."""
    result = conversation.messages[-1]["content"]
    try:
        values = _leaves(json.loads(result))
    except ValueError:
        values = [result]
    return [value for value in values if value in conversation.reply["content"]]


def scores_by_measure(
    conversations: Sequence[LearntConversation], replies: Sequence[str], form: CallForm
) -> dict[str, Score]:
    """Right replies by measure, in the order of `MEASURES`."""
    read = [ReadReply.of(reply, form) for reply in replies]
    marked = [marks(conversation, reply) for conversation, reply in zip(conversations, read, strict=True)]
    asked = {measure: [mark[measure] for mark in marked if measure in mark] for measure in MEASURES}
    return {measure: Score(sum(right), len(right)) for measure, right in asked.items()}


def _leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [] if isinstance(value, bool) or value is None else [str(value)]


def _are_equal(said: str, meant: str) -> bool:
    try:
        return bool(json.loads(said) == json.loads(meant))
    except ValueError:  # cut at the most tokens of a reply
        return False
