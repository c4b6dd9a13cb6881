"""Draws conversations in which functions help, or don't.

A skill that the question needs, other functions beside it, and a user who asks for it, has been given a result, or
talks of something else. Equal random numbers make equal conversations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from adaptrix_core.tools.toolset import Toolset
from adaptrix_core.training.examples.conversation import LearntConversation, Message
from adaptrix_core.training.tasks.tool_use.skill import Skill, Values

KINDS: Mapping[str, int] = {"call": 45, "answer": 22, "text": 28, "two": 5}
"""Percent of conversations whose reply is a call, the answer after a result, a text that needs no function, and the
call for a second question."""
OFFERED: Mapping[int, int] = {1: 35, 2: 30, 3: 25, 4: 10}
"""Percent of conversations in which so many functions are described."""
SYSTEM = (None, None, "You are a helpful assistant.", "Be brief.")
FAILED = 0.08
"""Share of results that are errors."""
ERRORS = ("service unavailable", "not found", "timeout")

Text = tuple[str, str]
"""(a question for which no function helps, an answer)"""


def draw(rng: Random, skills: Sequence[Skill], texts: Sequence[Text], kind: str | None = None) -> LearntConversation:
    """One conversation; ``kind``: one of `KINDS`, drawn where it is None."""
    kind = kind or rng.choices(list(KINDS), list(KINDS.values()))[0]
    offered = rng.sample(list(skills), rng.choices(list(OFFERED), list(OFFERED.values()))[0])
    described = [(skill, skill.function(rng)) for skill in offered]
    if len({function.name for _, function in described}) < len(described):
        return draw(rng, skills, texts, kind)
    skill, function = described[0]
    rng.shuffle(described)
    toolset = Toolset(tuple(function for _, function in described))
    system = rng.choice(SYSTEM)
    opening: tuple[Message, ...] = ({"role": "system", "content": system},) if system else ()
    if kind == "text":
        question, answer = rng.choice(list(texts))
        return LearntConversation((*opening, _user(question)), _assistant(answer), toolset)
    values = skill.values(rng)
    asked = (*opening, _user(skill.question(values, rng)))
    called = _call("1", function.name, values)
    if kind == "call":
        return LearntConversation(asked, called, toolset)
    result, answer = _outcome(skill, values, rng)
    done = (*asked, called, {"role": "tool", "tool_call_id": "1", "content": result})
    if kind == "answer":
        return LearntConversation(done, _assistant(answer), toolset)
    values = skill.values(rng)
    again = _user(skill.question(values, rng))
    return LearntConversation((*done, _assistant(answer), again), _call("2", function.name, values), toolset)


def _outcome(skill: Skill, values: Values, rng: Random) -> tuple[str, str]:
    """(the result as a function sends it, the answer that repeats it)."""
    if rng.random() < FAILED:
        error = rng.choice(ERRORS)
        return json.dumps({"error": error}), f"I am sorry, that did not work: {error}."
    result = skill.result(values, rng)
    answer = skill.answer(values, result, rng)
    return result if isinstance(result, str) else json.dumps(result), answer


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _call(call_id: str, function: str, values: Values) -> Message:
    called: dict[str, Any] = {"name": function, "arguments": json.dumps(values)}
    calls = [{"id": call_id, "type": "function", "function": called}]
    return {"role": "assistant", "content": "", "tool_calls": calls}
