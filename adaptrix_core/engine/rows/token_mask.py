"""Tokens that a row may not choose: those outside ``allowed_token_ids``, bad words, and ends that would come too early.

Names and meanings are vLLM's. What a grammar forbids is in `constraint.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adaptrix_core.engine.request import SamplingParams
from adaptrix_core.errors import InvalidRequest

_FORBIDDEN = float("-inf")


class TokenMask:
    """What one request forbids; shared by its rows."""

    def __init__(
        self, params: SamplingParams, eos_token_ids: frozenset[int], tokenizer: PreTrainedTokenizerBase | None
    ) -> None:
        """Raises InvalidRequest for bad words without a tokenizer."""
        ends = (frozenset() if params.ignore_eos else eos_token_ids) | set(params.stop_token_ids)
        self._min_tokens = params.min_tokens
        self._ends = torch.tensor(sorted(ends), dtype=torch.int64)
        allowed = params.allowed_token_ids
        self._allowed = None if allowed is None else torch.tensor(sorted(set(allowed)), dtype=torch.int64)
        self._bad_words = _token_sequences(params.bad_words, tokenizer)

    def is_active(self, num_output: int) -> bool:
        """Whether anything may be forbidden for the token after ``num_output`` generated ones."""
        return self._allowed is not None or bool(self._bad_words) or num_output < self._min_tokens

    def apply(self, logits: Tensor, output: Sequence[int]) -> None:
        """Set forbidden tokens of ``logits`` ``(vocab,)`` to -inf, in place. output: the tokens generated so far.

        Raises InvalidRequest where no token is left.
        """
        if self._allowed is not None:
            allowed = self._allowed.to(logits.device)
            kept = logits[allowed]
            logits.fill_(_FORBIDDEN)
            logits[allowed] = kept
        if len(output) < self._min_tokens:
            logits[self._ends.to(logits.device)] = _FORBIDDEN
        if completing := [word[-1] for word in self._bad_words if _ends_with(output, word[:-1])]:
            logits[torch.tensor(completing, device=logits.device)] = _FORBIDDEN
        if logits.amax() == _FORBIDDEN:
            raise InvalidRequest(
                "no token is left to choose: allowed_token_ids, bad_words, min_tokens and the text's form forbid all "
                "of them together",
                param="allowed_token_ids",
            )


def _ends_with(output: Sequence[int], tokens: tuple[int, ...]) -> bool:
    return not tokens or tuple(output[-len(tokens) :]) == tokens


def _token_sequences(words: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> frozenset[tuple[int, ...]]:
    """The tokens of each word, at the beginning of a text and after a space."""
    if words and tokenizer is None:
        raise InvalidRequest("this base model has no tokenizer, so bad_words mean nothing to it", param="bad_words")
    found = set()
    for word in words:
        for spelling in (word.lstrip(), f" {word.lstrip()}"):
            assert tokenizer is not None
            found.add(tuple(tokenizer.encode(spelling, add_special_tokens=False)))
    return frozenset(found - {()})


def token_mask(
    params: SamplingParams, eos_token_ids: frozenset[int], tokenizer: PreTrainedTokenizerBase | None
) -> TokenMask | None:
    """The mask of a request; None where it forbids nothing. Raises InvalidRequest."""
    if params.allowed_token_ids is None and not params.bad_words and not params.min_tokens:
        return None
    return TokenMask(params, eos_token_ids, tokenizer)
