"""The records by which the ingress asks a replica for tokens without an answer: text into tokens, back, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.context.memory.selection import PromptSizes


@dataclass(frozen=True)
class TokenizeCall:
    """A prompt whose tokens are wanted, without an answer to it."""

    prompt: str | tuple[Mapping[str, str], ...]
    """Raw text, or chat messages ``{"role", "content"}``."""
    salt: bytes
    """The tenant's; its long texts wait for one another."""
    chat: ChatOptions = ORDINARY
    """How chat messages become text."""
    special: bool | None = None
    """Whether special tokens are added; None: as in a prompt, to raw text only."""
    with_names: bool = False
    """Whether the tokens' names in the vocabulary are wanted too."""


@dataclass(frozen=True)
class Tokenized:
    """The tokens of a prompt."""

    token_ids: tuple[int, ...]
    context_length: int
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DetokenizeCall:
    """Token ids whose text is wanted."""

    token_ids: tuple[int, ...]
    salt: bytes
    skip_special: bool = False
    """Whether special tokens are left out."""


@dataclass(frozen=True)
class CountCall:
    """A conversation whose parts are to be counted."""

    messages: tuple[Mapping[str, Any], ...]
    """Chat messages, at least one of them by a user."""
    salt: bytes
    """The tenant's; its long texts wait for one another."""
    chat: ChatOptions = ORDINARY
    """How chat messages become text."""


@dataclass(frozen=True)
class Counted:
    """The answer."""

    sizes: PromptSizes
    context_length: int
    """Most tokens of prompt and answer together."""
