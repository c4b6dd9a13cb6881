"""How many prompt tokens one step computes beside its decoding rows: pure arithmetic, which the simulator shares.

Each decoding row costs the step one token. Prompts get what is left of the batch; beside decoding rows only so much
that their streams keep flowing. A short prompt is computed whole in the step that it joins: in parts, a few tokens
beside each step of the decoding rows, it would take many steps that cost almost as much as one.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORT_TOGETHER = 2
"""Largest total of short prompts that may join in one step, as a multiple of ``short_prompt_tokens``. Each further step
costs a reading of the weights, so one step for each prompt would make bursts begin slowly."""


@dataclass(frozen=True)
class PromptLimits:
    """What bounds prompts in one step, in tokens."""

    max_batch_tokens: int
    """Of all rows together."""
    mixed_prefill_tokens: int
    """Of prompts beside decoding rows; one more for each of these rows."""
    short_prompt_tokens: int
    """A prompt of at most so many, those found in the cache left out, is computed in the step it joins."""

    def is_short(self, tokens: int) -> bool:
        """Whether a prompt with so many tokens to compute is computed whole."""
        return tokens <= self.short_prompt_tokens


class PromptBudget:
    """What prompts may still take of one step."""

    def __init__(self, limits: PromptLimits, num_decoding: int) -> None:
        """num_decoding: rows that get their one token in the step."""
        self._limits = limits
        self._left = limits.max_batch_tokens - num_decoding
        self._room = float(self._left)
        if num_decoding:
            self._room = float(min(self._left, limits.mixed_prefill_tokens + num_decoding))
        self._joined = 0
        """Tokens of the short prompts that have joined."""

    @property
    def room(self) -> float:
        """Tokens left for a prompt that runs already; below 1 where there are none."""
        return self._room

    @property
    def is_spent(self) -> bool:
        """Whether no running prompt gets a token any more; a short one may still join."""
        return self._room < 1

    def may_join(self, tokens: int) -> bool:
        """Whether a waiting prompt with so many tokens to compute joins: there is room, or it is short among short."""
        if not self.is_spent:
            return True
        together = SHORT_TOGETHER * self._limits.short_prompt_tokens
        return 0 < self._joined <= together - tokens and self._limits.is_short(tokens) and tokens <= self._left

    def room_to_join(self, tokens: int) -> float:
        """What a prompt may compute in the step that it joins: the room, or all of its tokens if it is short."""
        return max(self._room, self._left) if self._limits.is_short(tokens) else self._room

    def join(self, tokens: int) -> None:
        """Note that a prompt with so many tokens to compute joins; what it computes now is `spend`."""
        if self._limits.is_short(tokens):
            self._joined += tokens

    def spend(self, tokens: int, worth: float) -> None:
        """Take planned tokens off; ``worth``: as how many they count (with much context before them, for more)."""
        self._left -= tokens
        self._room -= worth
