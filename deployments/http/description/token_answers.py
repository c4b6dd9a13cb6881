"""The answers of ``/tokenize`` and ``/detokenize``, for the OpenAPI document."""

from __future__ import annotations

from deployments.http.description.answers import Document


class TokenizedDocument(Document):
    """The tokens of a prompt; lists of all where a list of prompts was sent."""

    count: int | list[int]
    max_model_len: int
    """Tokens that prompt and answer may have together."""
    tokens: list[int] | list[list[int]]
    token_strs: list[str] | list[list[str]] | None
    """The tokens' names in the vocabulary, where asked for."""


class DetokenizedDocument(Document):
    """The text of tokens; a list where lists were sent."""

    prompt: str | list[str]
    """vLLM's name for it."""
    text: str | list[str]
    """SGLang's name for the same."""
