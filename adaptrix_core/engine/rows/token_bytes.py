"""Tokens as bytes, by the tokenizer's own vocabulary; the bytes of an answer, joined, are its text."""

from __future__ import annotations

import llguidance
from transformers import PreTrainedTokenizerBase


class TokenBytes:
    """The bytes of each token of a vocabulary. One character may be spread over several tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tables: llguidance.LLTokenizer) -> None:
        """tables: the same vocabulary as the grammar library reads it, byte-level or with byte fallback."""
        self._tables = tables
        self._unseen = frozenset(id for id, token in tokenizer.added_tokens_decoder.items() if token.special)

    def bytes_of(self, token_id: int) -> bytes | None:
        """A token's own bytes; None for a special token, which is left out of the text."""
        return None if token_id in self._unseen else bytes(self._tables.decode_bytes([token_id]))
