"""Activated LoRA: an adapter that takes effect from its invocation tokens on (aLoRA, arXiv:2504.12397).

Tokens before the invocation are computed by the base model, so their keys and values are the base's own. As in PEFT,
the last occurrence in the prompt counts, and an adapter whose invocation tokens do not occur there has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Mix, MixSchedule, mix_at

InvocationOf = Callable[[WeightsDigest], Sequence[int] | None]
"""The adapter's invocation tokens; None for an ordinary adapter."""


def activated(schedule: MixSchedule, prompt: Sequence[int], invocation_of: InvocationOf) -> MixSchedule:
    """``schedule`` without the terms of activated adapters before their invocation in ``prompt``.

    Raises InvalidRequest where such a term is under a gate, which weighs all of its terms or none.
    """
    digests = {term.adapter for _, mix in schedule for term in mix}
    begins = {digest: _begin(prompt, tokens) for digest in digests if (tokens := invocation_of(digest)) is not None}
    if not begins:
        return schedule
    if any(term.gated is not None and term.adapter in begins for _, mix in schedule for term in mix):
        raise InvalidRequest("an activated LoRA has no place in a gate; name ordinary adapters", param="gate")
    starts = sorted({start for start, _ in schedule} | {begin for begin in begins.values() if begin is not None})
    entries = [(start, _acting(mix_at(schedule, start), start, begins)) for start in starts]
    return tuple(next(equal) for _, equal in groupby(entries, key=lambda entry: entry[1]))


def _acting(mix: Mix, position: int, begins: dict[WeightsDigest, int | None]) -> Mix:
    return tuple(
        term
        for term in mix
        if term.adapter not in begins or ((begin := begins[term.adapter]) is not None and begin <= position)
    )


def _begin(prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
    """Index of the last occurrence of ``tokens`` in ``prompt``; None without one."""
    wanted, width = list(tokens), len(tokens)
    places = range(len(prompt) - width, -1, -1)
    return next((place for place in places if list(prompt[place : place + width]) == wanted), None)
