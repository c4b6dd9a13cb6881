"""Token ids -> text that can be shown: never half a character, never the beginning of a possible stop string."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase


class TextStream:
    """The text of one row, growing token by token. Without a tokenizer it is always empty."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None,
        stop: Sequence[str] = (),
        *,
        min_tokens: int = 0,
        includes_stop: bool = False,
        skips_special: bool = True,
    ) -> None:
        """min_tokens: tokens in whose text no stop string is looked for. includes_stop: whether it is shown.

        skips_special: whether special tokens have no text.
        """
        self._tokenizer = tokenizer
        self._skips_special = skips_special
        self._decoder = DecodeStream(skip_special_tokens=skips_special)
        self._stop = tuple(stop)
        self._min_tokens = min_tokens
        self._includes_stop = includes_stop
        self._tokens: list[int] = []
        self._decoded = ""
        self._shown = 0
        self.stopped_by: str | None = None
        """The stop string that was found."""

    def again(self) -> TextStream:
        """A new stream of the same kind, without any token and without stop strings."""
        return TextStream(self._tokenizer, skips_special=self._skips_special)

    @property
    def decoded(self) -> str:
        """The text so far, held back or not."""
        return self._decoded

    def push(self, token_id: int) -> str:
        """Add one token; returns the text that may be shown now. Sets ``stopped_by`` when a stop string is complete."""
        if self._tokenizer is None:
            return ""
        self._tokens.append(token_id)
        self._decoded += self._decode(self._tokenizer.backend_tokenizer, token_id)
        if len(self._tokens) <= self._min_tokens:
            return self._show(len(self._decoded))
        found = self._find_stop()
        if found is not None:
            at, self.stopped_by = found
            self._decoded = self._decoded[: at + len(self.stopped_by) * self._includes_stop]
            return self._show(len(self._decoded))
        return self._show(len(self._decoded) - self._held_back())

    def finish(self) -> str:
        """The text held back, once no token will follow; an unfinished character becomes U+FFFD."""
        if self._tokenizer is not None and self.stopped_by is None:
            whole = str(self._tokenizer.decode(self._tokens, skip_special_tokens=self._skips_special))
            if whole.startswith(self._decoded):
                self._decoded = whole
        return self._show(len(self._decoded))

    def _decode(self, tokenizer: Tokenizer, token_id: int) -> str:
        try:
            return self._decoder.step(tokenizer, token_id) or ""
        except Exception as error:
            # A byte that makes earlier ones invalid would change text that was already shown; start anew from here.
            if "Invalid prefix" not in str(error):
                raise
            self._decoder = DecodeStream(skip_special_tokens=self._skips_special)
            return self._decoder.step(tokenizer, token_id) or ""

    def _show(self, end: int) -> str:
        piece = self._decoded[self._shown : end]
        self._shown = max(self._shown, end)
        return piece

    def _find_stop(self) -> tuple[int, str] | None:
        """The earliest stop string in the text not shown yet (a shown part cannot belong to one), and its place."""
        hits = [(at, s) for s in self._stop if (at := self._decoded.find(s, self._shown)) >= 0]
        return min(hits) if hits else None

    def _held_back(self) -> int:
        """Characters at the end that are the beginning of some stop string."""
        tail = self._decoded[self._shown :]
        return max(
            (n for s in self._stop for n in range(1, min(len(s), len(tail) + 1)) if tail.endswith(s[:n])), default=0
        )
