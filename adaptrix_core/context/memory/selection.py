"""Which exchanges of a conversation go into the next prompt: the rule of the memory.

The opening, the question and the latest exchanges always do. Of the earlier ones those that are most relevant to the
question do, up to a budget of tokens. Pure: knows numbers only.

A prompt that begins as the one before it finds its keys and values in the cache. So the rule prunes rarely and then
much: it leaves a prompt as it is until the budget is full, and prunes to a share of the budget, which leaves room for
many turns. In between, an earlier exchange comes back only where it is clearly what the question asks for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest

LATEST = 4
"""Exchanges before the question that are kept whatever they are about: the last one where the budget has room for it,
the others within `KEEP_SHARE`. The router compares a message with its last three (`routing/continuity.py`): what it
goes by, the adapter that it chooses can read."""

KEEP_SHARE = 0.5
"""Share of the budget that is filled when exchanges are left out. With half of it, a conversation of equal turns is
pruned once for as many turns as fill the other half."""

MOST_RECALLED = 2
"""Most exchanges that come back for one question, which must be the most relevant ones of all. Each changes the prompt
from its place on, which is computed anew."""


ANSWER_SHARE = 8
"""Part of the context, one in so many tokens, that is kept for the answer where nothing says how long it may be."""


@dataclass(frozen=True)
class PromptSizes:
    """Tokens of a conversation's parts; they add up to the whole prompt, or to a few tokens more."""

    opening: int
    """Of all that stands in every prompt: opening, functions, and the beginning of the answer."""
    exchanges: tuple[int, ...]
    """Of each exchange, in order."""


@dataclass(frozen=True)
class Selection:
    """The exchanges of one prompt, by number, each list in order."""

    kept: tuple[int, ...]
    left_out: tuple[int, ...]
    recalled: tuple[int, ...]
    """Those of ``kept`` that the prompt before had left out."""
    is_pruned: bool
    """Whether exchanges were left out that the prompt before had, or would have had."""
    num_tokens: int
    """Of the prompt, by the sizes that were given."""


def select(
    sizes: Sequence[int],
    budget: int,
    *,
    opening: int = 0,
    relevance: Sequence[float] | None = None,
    recall_from: float = 1.0,
    left_out: Collection[int] = (),
    latest: int = LATEST,
    keep_share: float = KEEP_SHARE,
) -> Selection:
    """Choose for the last of the exchanges, which holds the question.

    sizes: tokens of each exchange, at least one. budget: most tokens of the prompt. opening: tokens that are always in
    it. relevance: of each exchange to the question, larger is more; None where nothing is known: the latest are kept.
    recall_from: relevance from which an exchange that was left out comes back. left_out: those that the prompt before
    had left out. latest: exchanges before the question that are always kept. keep_share: of the budget, filled by
    pruning. Raises ContextLengthExceeded where opening and question alone are over the budget.
    """
    _check(sizes, relevance, keep_share)
    question = len(sizes) - 1
    required = opening + sizes[question]
    if required > budget:
        raise ContextLengthExceeded(
            f"the question alone has {sizes[question]} tokens, and {opening} tokens always stand before it; the prompt "
            f"has room for {budget}: shorten the question or the system message, or ask for a shorter answer",
            param="messages",
        )
    before = set(left_out) - {question}
    standing = [number for number in range(question) if number not in before]
    total = required + sum(sizes[number] for number in standing)
    if total <= budget:
        wanted = [number for number in _asked_for(question, relevance, recall_from) if number in before]
        if total + sum(sizes[number] for number in wanted) <= budget:
            return _selection([*standing, *wanted, question], sizes, opening, before, is_pruned=False)
    kept = _pruned(sizes, budget, required, relevance, recall_from, latest, keep_share)
    return _selection([*kept, question], sizes, opening, before, is_pruned=not set(standing) <= set(kept))


def prompt_room(context: int, answer: int | None) -> int:
    """Most tokens of a prompt in a context of so many tokens. answer: most tokens of the answer, if that is known."""
    return max(1, context - (max(1, context // ANSWER_SHARE) if answer is None else max(1, answer)))


def is_settled(sizes: Sequence[int], budget: int, opening: int = 0, left_out: Collection[int] = ()) -> bool:
    """Whether nothing is to be chosen: nothing was left out before, and all fits. `select` needs no relevance then."""
    return not left_out and opening + sum(sizes) <= budget


def _check(sizes: Sequence[int], relevance: Sequence[float] | None, keep_share: float) -> None:
    if not sizes:
        raise InvalidRequest("the conversation is empty; ask a question", param="messages")
    if relevance is not None and len(relevance) < len(sizes) - 1:
        raise InvalidRequest(f"{len(relevance)} relevances for {len(sizes)} exchanges; give one for each")
    if not 0.0 < keep_share <= 1.0:
        raise InvalidRequest(f"keep_share is {keep_share}; it must be above 0 and at most 1")


def _asked_for(question: int, relevance: Sequence[float] | None, recall_from: float) -> list[int]:
    """The exchanges that the question clearly asks for, the most relevant first: none but the most relevant of all."""
    if relevance is None:
        return []
    ordered = sorted(range(question), key=lambda number: (-relevance[number], -number))
    return [number for number in ordered[:MOST_RECALLED] if relevance[number] >= recall_from]


def _pruned(
    sizes: Sequence[int],
    budget: int,
    required: int,
    relevance: Sequence[float] | None,
    recall_from: float,
    latest: int,
    keep_share: float,
) -> list[int]:
    """The earlier exchanges that are kept: the latest, those that are clearly asked for, then the most relevant."""
    question, room = len(sizes) - 1, keep_share * budget
    kept: list[int] = []
    total = required

    def keep_within(numbers: Sequence[int], limit: float, without_holes: bool = False) -> None:
        nonlocal total
        for number in numbers:
            if number in kept:
                continue
            if total + sizes[number] <= limit:
                kept.append(number)
                total += sizes[number]
            elif without_holes:
                return

    newest_first = list(reversed(range(question)))
    keep_within(newest_first[:1], budget)
    keep_within(newest_first[:latest], room, without_holes=True)
    if relevance is None:
        keep_within(newest_first, room, without_holes=True)
        return kept
    ordered = sorted(newest_first, key=lambda number: -relevance[number])  # stable: of equals, the latest first
    keep_within(_asked_for(question, relevance, recall_from), budget)
    keep_within(ordered, room)
    return kept


def _selection(
    kept: Sequence[int], sizes: Sequence[int], opening: int, before: Collection[int], *, is_pruned: bool
) -> Selection:
    ordered = sorted(kept)
    return Selection(
        kept=tuple(ordered),
        left_out=tuple(number for number in range(len(sizes)) if number not in set(ordered)),
        recalled=tuple(number for number in ordered if number in before),
        is_pruned=is_pruned,
        num_tokens=opening + sum(sizes[number] for number in ordered),
    )
