"""Constrained output: which tokens a grammar allows next, by the llguidance library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import llguidance
import llguidance.hf
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adaptrix_core.errors import InvalidRequest


def json_grammar(schema: Mapping[str, Any] | None) -> str:
    """The grammar of JSON texts that satisfy ``schema`` (any JSON object where it is None)."""
    wanted = json.dumps(schema if schema is not None else {"type": "object"})
    return str(llguidance.LLMatcher.grammar_from_json_schema(wanted))


class GrammarCompiler:
    """Makes constraints for one tokenizer; its tables are built once, on first use if not before."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._tables: llguidance.LLTokenizer | None = None

    def build_tables(self) -> llguidance.LLTokenizer:
        """The vocabulary as the library wants it; about half a second of one core for 49 000 tokens, once."""
        if self._tables is None:
            self._tables = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=self._vocab_size)
        return self._tables

    def compile(self, grammar: str) -> Constraint:
        """Raises InvalidRequest for a grammar or schema that cannot be used."""
        matcher = llguidance.LLMatcher(self.build_tables(), grammar)
        if matcher.is_error():
            raise InvalidRequest(f"response_format cannot be used: {matcher.get_error()}", param="response_format")
        return Constraint(matcher)


class Constraint:
    """Progress of one row through its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher) -> None:
        self._matcher = matcher

    def mask(self, logits: Tensor) -> None:
        """Set logits ``(vocab,)`` of forbidden tokens to -inf, in place."""
        # The library's own helper for torch compiles a kernel on first use: seconds, and a C++ compiler.
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        logits.masked_fill_(allowed.to(logits.device) == 0, float("-inf"))

    def copy(self) -> Constraint:
        """The same grammar with the same progress, for another row."""
        return Constraint(self._matcher.deep_copy())

    def accept(self, token_id: int) -> None:
        """Advance by the chosen token."""
        self._matcher.consume_token(token_id)

    @property
    def failure(self) -> str | None:
        """Why the grammar cannot be followed any further, if it can't."""
        return str(self._matcher.get_error()) if self._matcher.is_error() else None

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())
