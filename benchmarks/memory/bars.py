"""How clear is what a question asks for? The choice of the relevance from which a turn comes back.

On conversations of their own seed: the share of facts that would come back, and the share of other questions for which
some turn would come back although nothing is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adaptrix_core.context.memory.exchanges import Exchanges, in_exchanges
from adaptrix_core.context.memory.relevance import Relevance
from adaptrix_core.context.memory.selection import LATEST
from benchmarks.memory.conversations import FactConversation, conversations

SEED = 11
"""Not that of `benchmarks.memory recall`."""
BARS = tuple(round(0.2 + 0.05 * step, 2) for step in range(11))


def run_bars(memories: Mapping[str, Relevance | None], count: int, between: int) -> dict[str, object]:
    """For each memory and bar: facts that come back, asked for in their words and in others, and false alarms."""
    told = list(conversations(count, between, SEED))
    result: dict[str, object] = {}
    for name, relevance in memories.items():
        if relevance is None:
            continue
        asked = [_scores(relevance, one, one.asked)[one.fact] for one in told]
        reworded = [_scores(relevance, one, one.reworded)[one.fact] for one in told]
        others = [alarm for one in told[: max(1, count // 8)] for alarm in _alarms(relevance, one)]
        print(f"{name}: {len(asked)} facts, {len(others)} other questions")
        rows = {bar: [_above(scores, bar) for scores in (asked, reworded, others)] for bar in BARS}
        for bar, (direct, other_words, false) in rows.items():
            print(f"  from {bar:.2f}: {direct:6.1%} asked for  {other_words:6.1%} in other words  {false:6.1%} alarms")
        result[name] = {str(bar): [round(value, 4) for value in row] for bar, row in rows.items()}
    return {"count": count, "columns": ["asked", "reworded", "false alarms"], "bars": result}


def _scores(relevance: Relevance, one: FactConversation, question: str) -> list[float]:
    whole = _whole(one, question)
    return relevance.of(question, whole.turns[:-1])


def _alarms(relevance: Relevance, one: FactConversation) -> list[float]:
    """For each later question of the conversation, the largest relevance among turns that may have been left out."""
    turns = _whole(one, one.asked).turns[:-1]
    return [
        max(relevance.of(turns[place].question, turns[: place - LATEST])) for place in range(LATEST + 20, len(turns), 4)
    ]


def _whole(one: FactConversation, question: str) -> Exchanges:
    said = [(role, text) for pair in one.pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    return in_exchanges([{"role": role, "content": text} for role, text in [*said, ("user", question)]])


def _above(scores: Sequence[float], bar: float) -> float:
    return sum(score >= bar for score in scores) / len(scores)
