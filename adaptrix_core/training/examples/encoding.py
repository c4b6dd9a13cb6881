"""Encodes conversations as token ids, in the form in which the base model is asked when it serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from adaptrix_core.base import BaseModel
from adaptrix_core.base.chat_options import ChatOptions
from adaptrix_core.errors import ConfigError
from adaptrix_core.tools.call_form import CallForm
from adaptrix_core.training.examples.conversation import LearntConversation, Message
from adaptrix_core.training.examples.packing import Example

FEWEST_THAT_FIT = 0.1
"""Share of drawn conversations that must be short enough: where fewer are, drawing on would hardly end."""


def encode_examples(base: BaseModel, conversations: Sequence[LearntConversation], max_tokens: int) -> list[Example]:
    """Conversations as token ids under the base's chat template; the reply ends with the end token.

    Those longer than ``max_tokens`` are left out. Raises ConfigError where none is left.
    """
    examples = []
    for index, conversation in enumerate(conversations):
        example = _encoded(base, conversation, index)
        if len(example.token_ids) <= max_tokens:
            examples.append(example)
    if not examples:
        raise ConfigError(
            [f"max_tokens_per_example is {max_tokens}: none of {len(conversations)} examples is that short"]
        )
    return examples


def first_that_fit(
    base: BaseModel, drawn: Iterator[LearntConversation], count: int, max_tokens: int
) -> list[LearntConversation]:
    """The first ``count`` conversations of an endless source that have at most ``max_tokens`` tokens."""
    fitting: list[LearntConversation] = []
    for conversation in islice(drawn, max(100, int(count / FEWEST_THAT_FIT))):
        if len(fitting) == count:
            break
        if len(_encoded(base, conversation, 0).token_ids) <= max_tokens:
            fitting.append(conversation)
    if len(fitting) < count:
        raise ConfigError([f"max_tokens_per_example is {max_tokens}: hardly any example is that short"])
    return fitting


def reply_text(message: Message, form: CallForm) -> str:
    """A message of the assistant as the model writes it: its text, then its calls of functions."""
    calls = [call["function"] for call in message.get("tool_calls", ())]
    if len(calls) > 1 and form.between is None:
        raise ConfigError([f"a reply makes {len(calls)} calls: this base model can make one in an answer"])
    written = (form.between or "").join(form.written(call["name"], call["arguments"]) for call in calls)
    return "\n".join(filter(None, (message["content"], written)))


def _encoded(base: BaseModel, conversation: LearntConversation, index: int) -> Example:
    tokenizer = base.require_tokenizer()
    prompt = base.encode_chat(conversation.messages, ChatOptions(toolset=conversation.toolset))
    reply = reply_text(conversation.reply, base.calls.form)
    answer = [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]
    return Example(index, (*prompt, *answer), len(answer))
