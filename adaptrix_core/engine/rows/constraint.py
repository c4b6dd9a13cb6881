"""Constrained output: which tokens a grammar allows next, by the llguidance library.

The cost that a caller can cause is bounded: the size of a grammar, the time to build it (`grammar_trial.py`), and, by
the library's own limits, the work for each token (at most some tens of milliseconds in measurements).
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import llguidance
import llguidance.hf
import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adaptrix_core.engine.rows.grammar_trial import GrammarTrial
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

PARAM = "grammar"
"""The parameter at fault, in `SamplingParams`."""
MAX_LEXER_STATES = 25_000
"""Lexer states of one grammar. The library's own default would allow hundreds of megabytes."""
MAX_KEPT = 16
"""Built grammars that are kept (LRU), refusals included."""

_BESIDE = ThreadPoolExecutor(2, "grammar-mask")
"""The library computes without Python's lock, so these threads run beside the engine's."""


class GrammarCompiler:
    """Makes constraints for one tokenizer; its tables are built once, on first use if not before. Thread-safe."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._tables: llguidance.LLTokenizer | None = None
        self._lock = threading.Lock()
        self._trial = GrammarTrial(MAX_LEXER_STATES)
        self._built = lru_cache(MAX_KEPT)(self._build)

    def build_tables(self) -> llguidance.LLTokenizer:
        """The vocabulary in the library's form; built once, in about half a second of one core for 49 000 tokens."""
        with self._lock:
            if self._tables is None:
                self._tables = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=self._vocab_size)
            return self._tables

    def compile(self, grammar: str) -> Constraint:
        """A constraint at its beginning; quick for a grammar that was compiled lately.

        Raises InvalidRequest for a grammar or schema that cannot be used, or takes too long to build.
        """
        if len(grammar) > MOST.grammar_characters:
            raise InvalidRequest(
                f"the grammar has {len(grammar)} characters; the limit is {MOST.grammar_characters}",
                code="grammar_too_large",
                param=PARAM,
            )
        built = self._built(grammar)
        if isinstance(built, InvalidRequest):
            raise InvalidRequest(built.message, code=built.code, param=built.param)
        return built.copy()

    def _build(self, grammar: str) -> Constraint | InvalidRequest:
        """A constraint at its beginning, or the refusal, which is remembered too."""
        try:
            self._trial.check(grammar)
        except InvalidRequest as refusal:
            return refusal
        limits = llguidance.LLParserLimits(max_lexer_states=MAX_LEXER_STATES)
        matcher = llguidance.LLMatcher(self.build_tables(), grammar, limits=limits)
        if matcher.is_error():
            message = f"the grammar cannot be used: {matcher.get_error()[:500]}"
            return InvalidRequest(message, param=PARAM)
        return Constraint(matcher)


class Constraint:
    """Progress of one row through its grammar. Belongs to one thread, but for masks, which are computed beside it."""

    def __init__(self, matcher: llguidance.LLMatcher) -> None:
        self._matcher = matcher
        self._begun: Future[bytes] | None = None
        """The mask that is being computed; the matcher is not to be touched before it is there."""

    def begin_mask(self) -> None:
        """Start to compute the next mask beside what the engine does until it asks for it.

        It takes some hundredths of a millisecond, some grammars' take many: rows without a grammar shall not wait.
        """
        self._begun = _BESIDE.submit(self._matcher.compute_bitmask)

    def mask(self, logits: Tensor) -> None:
        """Set logits ``(vocab,)`` of forbidden tokens to -inf, in place.

        Raises InvalidRequest (code grammar_failed) where the work for one token goes beyond the library's limits.
        """
        bits = self._matcher.compute_bitmask() if self._begun is None else self._begun.result()
        self._begun = None
        if (failure := self.failure) is not None:
            raise failure
        allowed = np.unpackbits(np.frombuffer(bits, np.uint8), count=logits.numel(), bitorder="little").view(bool)
        if logits.device.type == "cpu":  # NumPy needs no second thread for this, and wakes none
            np.copyto(logits.numpy(), -np.inf, where=~allowed)
        else:
            logits.masked_fill_(~torch.from_numpy(allowed).to(logits.device), float("-inf"))

    def copy(self) -> Constraint:
        """The same grammar with the same progress, for another row."""
        self._settle()
        return Constraint(self._matcher.deep_copy())

    def accept(self, token_id: int) -> None:
        """Advance by the chosen token."""
        self._settle()
        self._begun = None
        self._matcher.consume_token(token_id)

    @property
    def failure(self) -> InvalidRequest | None:
        """Why the grammar cannot be followed any further, if it can't."""
        self._settle()
        if not self._matcher.is_error():
            return None
        reason = self._matcher.get_error()[:300]
        message = f"the grammar cannot be followed any further: {reason}"
        return InvalidRequest(message, code="grammar_failed", param=PARAM)

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        self._settle()
        return bool(self._matcher.is_stopped())

    def _settle(self) -> None:
        if self._begun is not None:
            self._begun.result()
