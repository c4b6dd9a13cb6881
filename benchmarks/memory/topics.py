"""Conversations of three topics, and back: who answers each turn, and whether its prompt holds what it needs.

Scripted by hand (`topic_moves.jsonl`). Each conversation holds two turns on each topic and then goes back to the first
two; everyday questions are asked in between, so that the budget has long been full when a topic comes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from adaptrix_core.context.memory.exchanges import Exchanges, in_exchanges
from adaptrix_core.context.memory.relevance import Relevance
from adaptrix_core.context.memory.selection import select
from adaptrix_core.routing import prompts
from adaptrix_core.routing.semantic import SemanticRouter
from benchmarks.memory.conversations import REMARKS
from benchmarks.memory.recall import share

SCRIPTS = Path(__file__).with_name("topic_moves.jsonl")

BUDGET = 1200
"""Most characters of a prompt: here every character counts as a token, as nothing is generated."""


@dataclass(frozen=True)
class ScriptedTurn:
    """A question of a script."""

    say: str
    adapter: str | None
    """Who should answer; None: the base model."""
    needs: tuple[int, ...]
    """Numbers of the turns that it cannot be answered without."""


@dataclass(frozen=True)
class TurnTaken:
    """What became of a scripted turn."""

    script: int
    turn: ScriptedTurn
    answered_by: str | None
    has_what_it_needs: bool

    @property
    def is_right(self) -> bool:
        """Whether the right adapter had the right history."""
        return self.answered_by == self.turn.adapter and self.has_what_it_needs


def scripts(everyday: int = 0) -> Iterator[list[ScriptedTurn]]:
    """The conversations. everyday: questions for the base model that are asked before the topics come back."""
    others = cycle(prompts.out_of_scope("test"))
    for line in SCRIPTS.read_text().splitlines():
        turns = [ScriptedTurn(**{**turn, "needs": tuple(turn["needs"])}) for turn in json.loads(line)["turns"]]
        yield [*turns[:6], *(ScriptedTurn(next(others), None, ()) for _ in range(everyday)), *turns[6:]]


def taken(
    router: SemanticRouter, relevance: Relevance | None, everyday: int = 0, budget: int = BUDGET
) -> list[TurnTaken]:
    """Hold every conversation. Of what is asked in between, only the effect on the scripted turns is told.

    relevance: None for plain truncation.
    """
    told: list[TurnTaken] = []
    for number, turns in enumerate(scripts(everyday)):
        remarks = cycle(REMARKS)
        messages: list[Mapping[str, str]] = []
        left_out: Sequence[int] = ()
        for turn in turns:
            messages.append({"role": "user", "content": turn.say})
            whole = in_exchanges(messages)
            left_out, kept = _kept(whole, relevance, budget, left_out)
            if turn.adapter is not None:
                told.append(TurnTaken(number, turn, router.decide(messages).adapter, set(turn.needs) <= {*kept}))
            messages.append({"role": "assistant", "content": next(remarks)})
    return told


def _kept(
    whole: Exchanges, relevance: Relevance | None, budget: int, left_out: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """The turns that are left out of the prompt, and those that it holds."""
    sizes = [len(one.text) for one in whole.turns]
    if relevance is None:
        chosen = select(sizes, budget, left_out=left_out, keep_share=1.0)
    else:
        scores = relevance.of(whole.turns[-1].question, whole.turns[:-1])
        chosen = select(sizes, budget, relevance=scores, recall_from=relevance.recall_from, left_out=left_out)
    return chosen.left_out, chosen.kept


def run_topics(router: SemanticRouter, by_meaning: Relevance) -> dict[str, object]:
    """Print the share of turns that are right, with few and with many everyday questions in between."""
    memories: tuple[tuple[str, Relevance | None, int], ...] = (
        ("embedding", by_meaning, 0),
        ("embedding", by_meaning, 20),
        ("truncation", None, 20),
    )
    rows: dict[str, object] = {}
    for name, relevance, everyday in memories:
        turns = taken(router, relevance, everyday)
        right = share([one.is_right for one in turns])
        adapter = share([one.answered_by == one.turn.adapter for one in turns])
        history = share([one.has_what_it_needs for one in turns if one.turn.needs])
        print(
            f"{name:10} {everyday:2} everyday questions between: {right[0]:6.1%} ±{right[1]:.1%} right of {len(turns)} "
            f"turns (adapter {adapter[0]:6.1%}, history where one is needed {history[0]:6.1%} ±{history[1]:.1%})"
        )
        rows[f"{name} {everyday}"] = {"right": right, "adapter": adapter, "history": history, "turns": len(turns)}
    wrong = [one for one in turns if one.answered_by != one.turn.adapter]
    for one in wrong:
        print(f"    {one.script}: {one.turn.say!r} answered by {one.answered_by or 'base'}, not {one.turn.adapter}")
    return {"rows": rows}
