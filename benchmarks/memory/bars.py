"""How clear is what a question asks for? The choice of the relevance from which a turn comes back.

On conversations of their own seed: the share of facts that would come back, and the share of other questions for which
some turn would come back although nothing is asked for. A fact that stays away costs a right answer, a turn that comes
back for nothing costs a part of the prompt, which is computed anew. So the bar is as low as such false alarms allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adaptrix_core.context.memory.relevance import Relevance
from adaptrix_core.context.memory.selection import LATEST
from benchmarks.memory.conversations import FactConversation

SEED = 11
"""Of the conversations that the bars are chosen on; results are told of others (`conversations.SEED`)."""
BARS = tuple(round(0.05 * step, 2) for step in range(1, 15))
MOST_ALARMS = 1 / 3
"""Largest share of questions that ask for nothing earlier, and for which a turn comes back all the same."""


def run_bars(memories: Mapping[str, Relevance | None], told: Sequence[FactConversation]) -> dict[str, object]:
    """For each memory and bar: facts that come back, asked for in their words and in others, and false alarms."""
    result: dict[str, object] = {}
    for name, relevance in memories.items():
        if relevance is None:
            continue
        asked = [_scores(relevance, one, one.asked)[one.fact] for one in told]
        reworded = [_scores(relevance, one, one.reworded)[one.fact] for one in told]
        others = [alarm for one in told[: max(1, len(told) // 8)] for alarm in _alarms(relevance, one)]
        print(f"{name}: {len(asked)} facts, {len(others)} other questions")
        rows = {bar: [_above(scores, bar) for scores in (asked, reworded, others)] for bar in BARS}
        for bar, (direct, other_words, false) in rows.items():
            print(f"  from {bar:.2f}: {direct:6.1%} asked for  {other_words:6.1%} in other words  {false:6.1%} alarms")
        bar = chosen({bar: false for bar, (_, _, false) in rows.items()})
        print(f"  chosen: {bar:.2f}", flush=True)
        result[name] = {"chosen": bar} | {str(bar): [round(value, 4) for value in row] for bar, row in rows.items()}
    return {"columns": ["asked", "reworded", "false alarms"], "bars": result}


def chosen(alarms: Mapping[float, float]) -> float:
    """The lowest bar with at most `MOST_ALARMS`; the highest where none has so few. alarms: their share, by bar."""
    return min((bar for bar, share in alarms.items() if share <= MOST_ALARMS), default=max(alarms))


def _scores(relevance: Relevance, one: FactConversation, question: str) -> list[float]:
    return relevance.of(question, one.asked_in_the_end(question).turns[:-1])


def _alarms(relevance: Relevance, one: FactConversation) -> list[float]:
    """For each later question of the conversation, the largest relevance among turns that may have been left out."""
    turns = one.asked_in_the_end(one.asked).turns[:-1]
    return [
        max(relevance.of(turns[place].question, turns[: place - LATEST])) for place in range(LATEST + 20, len(turns), 4)
    ]


def _above(scores: Sequence[float], bar: float) -> float:
    return sum(score >= bar for score in scores) / len(scores)
