"""The bodies of ``/tokenize`` and ``/detokenize``: vLLM's, and the lists of SGLang's."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, Tag, model_validator

from adaptrix_core.base.chat_options import ChatOptions
from adaptrix_core.request_limits import MOST
from adaptrix_core.tools.toolset import Toolset
from deployments.openai.body import Body
from deployments.openai.field_types import TokenId, by_kind, no_larger, text_or_texts
from deployments.openai.messages import Messages, num_characters_of
from deployments.openai.neutral_fields import TOKENIZE
from deployments.openai.tool_body import DescribedTools

ModelName = Annotated[str, Field(min_length=1, max_length=MOST.model_characters)]
CHAT_ONLY = ("tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs")


def _ids_or_lists(value: object) -> str | None:
    if not isinstance(value, list):
        return None
    return "list[list[int]]" if value and isinstance(value[0], list) else "list[int]"


class TokenizeRequest(DescribedTools):
    """``POST /tokenize``: of a prompt, or of chat messages as the model's template writes them."""

    neutral = TOKENIZE
    model: ModelName | None = None
    """Any name that is served: adapters change no tokens."""
    prompt: (
        Annotated[
            Annotated[str, Tag("str")]
            | Annotated[list[str], Field(min_length=1, max_length=MOST.prompts, fail_fast=True), Tag("list[str]")],
            by_kind(text_or_texts, "should be text or a list of texts"),
        ]
        | None
    ) = None
    messages: Messages | None = None
    add_special_tokens: bool | None = None
    """Null: to a prompt, not to messages, whose template writes them out."""
    return_token_strs: bool = False
    """Whether the tokens' names in the vocabulary are told too."""
    add_generation_prompt: bool | None = None
    """Null: true, unless the last message is gone on with."""
    continue_final_message: bool = False
    """Whether the last message is left open."""
    chat_template_kwargs: Annotated[dict[str, Any], no_larger(MOST.template_variables)] | None = None
    """Further variables of the model's chat template."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("send either prompt or messages")
        sent = [name for name in CHAT_ONLY if name in self.model_fields_set]
        if self.messages is None and sent:
            raise ValueError(f"{sent[0]} is for messages; a prompt is taken as it is")
        return self

    def chat_options(self) -> ChatOptions:
        """How the messages become text. Raises InvalidRequest for options that contradict each other."""
        begins = not self.continue_final_message if self.add_generation_prompt is None else self.add_generation_prompt
        return ChatOptions(begins, self.continue_final_message, self.chat_template_kwargs or {}, self._toolset())

    def _toolset(self) -> Toolset | None:
        return Toolset(self.functions()) if self.tools else None

    def prompts(self) -> list[str | tuple[dict[str, Any], ...]]:
        """What to tokenise, in order; more than one where ``prompt`` is a list."""
        if self.messages is not None:
            return [tuple(message.plain() for message in self.messages)]
        return [self.prompt] if isinstance(self.prompt, str) else list(self.prompt or ())

    def num_characters(self) -> int:
        """Characters of all texts, and of variables and tools, which a template can write out."""
        texts = [self.prompt] if isinstance(self.prompt, str) else self.prompt or ()
        said = num_characters_of(self.messages or ())
        told = ChatOptions(chat_template_kwargs=self.chat_template_kwargs or {}, toolset=self._toolset())
        return sum(map(len, texts)) + said + told.num_characters


class DetokenizeRequest(Body):
    """``POST /detokenize``."""

    model: ModelName | None = None
    """Any name that is served: adapters change no tokens."""
    tokens: Annotated[
        Annotated[list[TokenId], Field(fail_fast=True), Tag("list[int]")]
        | Annotated[
            list[Annotated[list[TokenId], Field(fail_fast=True)]],
            Field(max_length=MOST.prompts, fail_fast=True),
            Tag("list[list[int]]"),
        ],
        by_kind(_ids_or_lists, "should be token ids, or a list of lists of token ids"),
    ]
    skip_special_tokens: bool = False
    """Whether special tokens are left out of the text."""

    def texts_of(self) -> list[tuple[int, ...]]:
        """The ids of each text that is wanted; more than one where ``tokens`` is a list of lists."""
        if self.is_list:
            return [tuple(ids) for ids in self.tokens if not isinstance(ids, int)]
        return [tuple(token for token in self.tokens if isinstance(token, int))]

    @property
    def is_list(self) -> bool:
        """Whether several texts are wanted."""
        return bool(self.tokens) and isinstance(self.tokens[0], list)
