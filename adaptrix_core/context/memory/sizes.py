"""How many tokens each exchange of a conversation takes in a prompt.

A chat template writes something around each message, and may write a system message and functions before them all. So a
text's own tokens are counted by the tokenizer, and what the template adds by the length of two whole prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.base.model import BaseModel
from adaptrix_core.context.memory.exchanges import ChatMessage, Exchanges, text_of
from adaptrix_core.context.memory.selection import PromptSizes


def prompt_sizes(base: BaseModel, conversation: Exchanges, chat: ChatOptions = ORDINARY) -> PromptSizes:
    """The sizes under the chat template of ``base``. Raises InvalidRequest where the template refuses the messages."""
    own = [
        sum(len(base.encode(text_of(message), special=False)) for message in turn.messages)
        for turn in conversation.turns
    ]
    question = len(own) - 1
    shortest = len(base.encode_chat(conversation.messages([question]), chat))
    if question == 0:
        return PromptSizes(max(0, shortest - own[0]), (own[0],))
    whole = len(base.encode_chat(conversation.messages(range(question + 1)), chat))
    added = whole - shortest - sum(own[:question])
    num_messages = sum(len(turn.messages) for turn in conversation.turns[:question])
    each = max(0, -(-added // num_messages))
    earlier = [size + each * len(turn.messages) for size, turn in zip(own, conversation.turns, strict=True)][:question]
    return PromptSizes(max(0, shortest - own[question]), (*earlier, own[question]))


def chat_size(base: BaseModel, messages: Sequence[ChatMessage]) -> int:
    """Tokens of a prompt of these messages. Raises InvalidRequest where the template refuses them."""
    return len(base.encode_chat(messages, ORDINARY))
