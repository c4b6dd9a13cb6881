"""The questions of a sequence's steps: checked, and filled in with the answers of the steps before.

``{0}`` in a question stands for the answer of the first step, ``{1}`` for that of the second; other braces are text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from adaptrix_core.composition.parts import Named, StepPlan, Steps
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.composition.stated_answer import answer_of
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

_PLACE = re.compile(r"\{(\d{1,4})\}")

Message = Mapping[str, Any]
StepPrompt = str | Sequence[int] | Sequence[Message]
"""Raw text, token ids, or chat messages."""


def check_questions(questions: Sequence[Any]) -> tuple[str, ...]:
    """The questions, where each is a text that names only answers of steps before it. Raises InvalidRequest."""
    for number, question in enumerate(questions):
        if not isinstance(question, str) or not question.strip() or len(question) > MOST.plan_characters:
            raise InvalidRequest(
                f"question {number} of plan is {question!r:.60}; it must be a text of 1 to {MOST.plan_characters} "
                "characters"
            )
        for place in map(int, _PLACE.findall(question)):
            if place >= number:
                raise InvalidRequest(
                    f"question {number} of plan names {{{place}}}, which is not answered before it; "
                    + (f"it may name {{0}} to {{{number - 1}}}" if number else "the first question can name none")
                )
    return tuple(questions)


def filled(question: str, texts: Sequence[str]) -> str:
    """A question with the answers in the texts of earlier steps, see `answer_of`."""
    return _PLACE.sub(lambda found: answer_of(texts[int(found[1])]), question)


def planned(steps: Steps[Named], prompt: StepPrompt) -> Steps[Named]:
    """The steps with the questions that the planner divides the prompt's into, where their plan is ``auto``.

    Each question goes to the part in its place, and those for which there is no part to the last one. A question that
    is not to be divided goes to the first part alone. Raises InvalidRequest for token ids.
    """
    if steps.plan != "auto":
        return steps
    question = prompt if isinstance(prompt, str) else prompt[-1].get("content") if is_chat(prompt) else None
    if not isinstance(question, str):
        raise InvalidRequest("a planner reads text; send text, or a plan with a question for each step", param="prompt")
    plan = plan_of(question)
    if plan is None:
        return Steps(steps.groups[:1], "pass")
    last = len(steps.groups) - 1
    return Steps(tuple(steps.groups[min(number, last)] for number in range(len(plan.steps))), plan.steps)


def step_prompt(prompt: StepPrompt, plan: StepPlan, texts: Sequence[str]) -> StepPrompt:
    """The prompt of the step after those that have written ``texts``.

    With questions, the last message of a conversation becomes the step's question, and what stands before it stays; a
    raw prompt becomes the question alone. With ``pass``, the texts stand behind the prompt: as the assistant's messages
    in a conversation, as lines in a raw text. Raises InvalidRequest for token ids that would have to be gone on with.
    """
    if isinstance(plan, tuple):
        question = filled(plan[len(texts)], texts)
        return (*prompt[:-1], {"role": "user", "content": question}) if is_chat(prompt) else question
    if not texts:
        return prompt
    if isinstance(prompt, str):
        return prompt + "".join(f"{text}\n" for text in texts)
    if is_chat(prompt):
        return (*prompt, *({"role": "assistant", "content": text} for text in texts))
    raise InvalidRequest("a sequence cannot go on from a prompt of token ids; send text, or a plan", param="prompt")


def is_chat(prompt: StepPrompt) -> TypeGuard[Sequence[Message]]:
    """Whether a prompt is a conversation."""
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], Mapping)
