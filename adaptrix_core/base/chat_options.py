"""How chat messages become a prompt, beside the messages themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.tools.toolset import Toolset

ROLE_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"
"""The roles of messages: OpenAI's, and any other that a template may know."""
RESERVED_VARIABLES = frozenset(
    {"messages", "tools", "documents", "chat_template", "add_generation_prompt", "continue_final_message"}
    | {"conversation", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict"}
    | {"return_assistant_tokens_mask", "tokenizer_kwargs"}
)
"""Names that are not a caller's to set: they have fields of their own, or are arguments of transformers' function."""


@dataclass(frozen=True)
class ChatOptions:
    """Options of a chat template; names are transformers' and vLLM's."""

    add_generation_prompt: bool = True
    """Whether the prompt ends with the beginning of an assistant's turn."""
    continue_final_message: bool = False
    """Whether the last message is left open, so that the answer goes on with it."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Further variables of the template, such as ``enable_thinking``."""
    toolset: Toolset | None = None
    """The functions that the model is told of, and may call."""

    @property
    def num_characters(self) -> int:
        """Characters that variables and functions may add to the prompt: a template can write any of them out."""
        variables = len(json.dumps(self.chat_template_kwargs)) if self.chat_template_kwargs else 0
        return variables + (self.toolset.num_characters if self.toolset is not None else 0)

    def __post_init__(self) -> None:
        if self.add_generation_prompt and self.continue_final_message:
            raise InvalidRequest(
                "add_generation_prompt and continue_final_message are both true; an answer begins a turn of its own or "
                "goes on with the last one",
                param="continue_final_message",
            )
        for name in sorted(RESERVED_VARIABLES & self.chat_template_kwargs.keys()):
            raise InvalidRequest(
                f"chat_template_kwargs sets {name!r}, which is not a variable for callers; leave it out",
                param="chat_template_kwargs",
            )


ORDINARY = ChatOptions()
