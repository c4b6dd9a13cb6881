"""The text and bytes of single tokens, as clients see them beside log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployments.shared.wire import Likely, numbered_token

if TYPE_CHECKING:  # loads torch, which only replicas need
    from adaptrix_core.engine.rows.token_bytes import TokenBytes

NEVER = -9999.0
"""Log-probability that stands for minus infinity, which JSON lacks; OpenAI's API does the same."""


class TokenTexts:
    """Names the tokens of one base model."""

    def __init__(self, tokenizer: Any, token_bytes: TokenBytes | None) -> None:
        """Both None for a base without a tokenizer; its tokens are shown as numbers."""
        self._tokenizer = tokenizer
        self._bytes = token_bytes

    def likely(self, token_id: int, logprob: float) -> Likely:
        """A token that was chosen, or could have been, with its text and bytes."""
        logprob = max(logprob, NEVER)
        if self._bytes is None:
            return Likely(numbered_token(token_id), token_id, logprob)
        data = self._bytes.bytes_of(token_id)
        if data is None:
            return Likely(str(self._tokenizer.convert_ids_to_tokens(token_id)), token_id, logprob)
        return Likely(shown(data), token_id, logprob, data)


def shown(data: bytes) -> str:
    """The text of these bytes; for a part of a character the bytes themselves, written as OpenAI does."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
