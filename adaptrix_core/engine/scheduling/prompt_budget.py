"""The budget of prompt tokens in one step, beside its decoding rows: pure arithmetic, which the simulator shares.

Each decoding row costs the step one token. Prompts get the rest of the batch; beside decoding rows they get less, so
that these rows' streams keep flowing. A short prompt is computed whole in the step that it joins: in parts, a few
tokens beside each step of the decoding rows, it would take many steps that cost almost as much as one.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORT_TOGETHER = 2
"""Largest total of short prompts that may join in one step, as a multiple of ``short_prompt_tokens``. Each further step
costs a reading of the weights, so one step for each prompt would make bursts begin slowly."""


@dataclass(frozen=True)
class PromptLimits:
    """Limits of one step, in tokens."""

    max_batch_tokens: int
    """Tokens of all rows together."""
    mixed_prefill_tokens: int
    """Prompt tokens beside decoding rows; one more for each of these rows."""
    short_prompt_tokens: int
    """Longest prompt that is computed whole in the step it joins, tokens found in the cache left out."""

    def is_short(self, tokens: int) -> bool:
        """Whether a prompt with ``tokens`` left to compute is computed whole."""
        return tokens <= self.short_prompt_tokens


class PromptBudget:
    """The prompt tokens that one step still has room for."""

    def __init__(self, limits: PromptLimits, num_decoding: int) -> None:
        """num_decoding: rows that get their one token in the step."""
        self._limits = limits
        self._left = limits.max_batch_tokens - num_decoding
        self._room = float(self._left)
        if num_decoding:
            self._room = float(min(self._left, limits.mixed_prefill_tokens + num_decoding))
        self._joined = 0
        """Tokens of the short prompts that have joined in this step."""

    @property
    def room(self) -> float:
        """Tokens left for a prompt that runs already; below 1 when none is."""
        return self._room

    @property
    def is_spent(self) -> bool:
        """Whether running prompts get no more tokens; a short prompt may still join."""
        return self._room < 1

    def may_join(self, tokens: int) -> bool:
        """Whether a waiting prompt with ``tokens`` left to compute joins: there is room, or it is a short one."""
        if not self.is_spent:
            return True
        together = SHORT_TOGETHER * self._limits.short_prompt_tokens
        return 0 < self._joined <= together - tokens and self._limits.is_short(tokens) and tokens <= self._left

    def room_to_join(self, tokens: int) -> float:
        """Tokens that a prompt may compute in the step it joins: the room, or all of its own if it is short."""
        return max(self._room, self._left) if self._limits.is_short(tokens) else self._room

    def join(self, tokens: int) -> None:
        """Note that a prompt with ``tokens`` left to compute joins; those computed now are counted by `spend`."""
        if self._limits.is_short(tokens):
            self._joined += tokens

    def spend(self, tokens: int, worth: float) -> None:
        """Take planned tokens off. worth: how many they count for, which is more with much context before them."""
        self._left -= tokens
        self._room -= worth
