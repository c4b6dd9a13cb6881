"""Recall of facts: each conversation held turn by turn under a budget of tokens, and then asked for its fact.

Tells whether the fact's turn is in the last prompt, how often a prompt was changed, and what share of the prompts'
tokens a prefix cache would have had.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adaptrix_core.context.memory.exchanges import Exchanges
from adaptrix_core.context.memory.relevance import Relevance
from adaptrix_core.context.memory.selection import Selection, select
from benchmarks.memory.conversations import FactConversation

Tokenize = Callable[[str], list[int]]

BLOCK = 16
"""Tokens of a block of the cache: the engine's default."""
FRAME = 6
"""Tokens that a chat template writes around a message."""
NOTHING = Selection((), (), (), False, 0)


@dataclass
class Held:
    """One conversation under one memory."""

    whole: Exchanges
    last: Selection = NOTHING
    left_out: list[tuple[int, ...]] = field(default_factory=list)
    """By each prompt, in order."""
    known: Sequence[int] = ()
    """Tokens of the last prompt and its answer."""
    num_pruned: int = 0
    """Prompts from which turns were left out that the one before had."""
    num_recalled: int = 0
    """Prompts into which a turn came back, the last one not counted."""
    num_tokens: int = 0
    """Of all prompts."""
    num_known: int = 0
    """Of those, tokens in whole blocks that the prompt before began with."""

    def has(self, turn: int) -> bool:
        """Whether a turn is in the last prompt."""
        return turn in self.last.kept


def held(
    conversation: FactConversation,
    questions: Sequence[str],
    budget: int,
    relevance: Relevance | None,
    tokenize: Tokenize,
) -> list[Held]:
    """Hold a conversation, once for each question at its end.

    relevance: None for plain truncation, which leaves the oldest out as soon as it must.
    """
    last = len(conversation.pairs)
    told = Held(conversation.asked_in_the_end(questions[0]))
    for turn in range(last):
        _take(told, turn, budget, relevance, tokenize)
    each = [replace(told, whole=conversation.asked_in_the_end(asked), left_out=[*told.left_out]) for asked in questions]
    for one in each:
        _take(one, last, budget, relevance, tokenize)
    return each


def _take(told: Held, turn: int, budget: int, relevance: Relevance | None, tokenize: Tokenize) -> None:
    """Make the prompt of one more turn."""
    asked = list(_framed(tokenize, told.whole.turns[turn].question))
    tokens = [[token for m in one.messages for token in _framed(tokenize, m["content"])] for one in told.whole.turns]
    sizes = [*(len(one) for one in tokens[:turn]), len(asked)]
    chosen = _chosen(told.whole, turn, sizes, budget, relevance, told.last.left_out)
    prompt = [token for number in chosen.kept[:-1] for token in tokens[number]] + asked
    told.num_tokens += len(prompt)
    told.num_known += _common(told.known, prompt)
    told.num_pruned += chosen.is_pruned
    told.num_recalled += bool(chosen.recalled) and turn < len(told.whole.turns) - 1
    told.last = chosen
    told.left_out.append(chosen.left_out)
    told.known = prompt + tokens[turn][len(asked) :]


def _chosen(
    whole: Exchanges, turn: int, sizes: Sequence[int], budget: int, relevance: Relevance | None, left_out: Sequence[int]
) -> Selection:
    if relevance is None:
        return select(sizes, budget, left_out=left_out, keep_share=1.0)
    scores = None
    if left_out or sum(sizes) > budget:
        scores = relevance.of(whole.turns[turn].question, whole.turns[:turn])
    return select(sizes, budget, relevance=scores, recall_from=relevance.recall_from, left_out=left_out)


@functools.lru_cache(4096)
def _framed(tokenize: Tokenize, text: str) -> Sequence[int]:
    return [-1] * (FRAME // 2) + tokenize(text) + [-2] * (FRAME - FRAME // 2)


def _common(known: Sequence[int], prompt: Sequence[int]) -> int:
    same = next((place for place, (a, b) in enumerate(zip(known, prompt, strict=False)) if a != b), None)
    length = min(len(known), len(prompt)) if same is None else same
    return length // BLOCK * BLOCK


def share(hits: Sequence[bool]) -> tuple[float, float]:
    """The share of hits and its standard error."""
    rate = sum(hits) / len(hits)
    return rate, math.sqrt(rate * (1 - rate) / len(hits))


def run_recall(
    memories: Mapping[str, Relevance | None], told: Sequence[FactConversation], budget: int
) -> dict[str, object]:
    """Hold the conversations under each memory, once for each wording of the question, and print the table."""
    tokenize = base_tokenizer()
    num_turns = len(told[0].pairs) + 1
    result: dict[str, object] = {}
    for name, relevance in memories.items():
        each = [held(one, (one.asked, one.reworded), budget, relevance, tokenize) for one in told]
        asked, reworded = [one for one, _ in each], [one for _, one in each]
        row = _row(asked, reworded, told)
        print(
            f"{name:16} asked for {row['asked'][0]:6.1%} ±{row['asked'][1]:5.1%}   in other words "
            f"{row['reworded'][0]:6.1%} ±{row['reworded'][1]:5.1%}   prompts pruned {row['pruned']:5.1f}, "
            f"changed by recall {row['recalled']:5.1f} of {num_turns}, known tokens {row['known']:6.1%}",
            flush=True,
        )
        result[name] = row
    return {"rows": result}


def _row(asked: Sequence[Held], reworded: Sequence[Held], told: Sequence[FactConversation]) -> dict[str, Any]:
    return {
        "asked": share([one.has(conversation.fact) for one, conversation in zip(asked, told, strict=True)]),
        "reworded": share([one.has(conversation.fact) for one, conversation in zip(reworded, told, strict=True)]),
        "pruned": sum(one.num_pruned for one in asked) / len(asked),
        "recalled": sum(one.num_recalled for one in asked) / len(asked),
        "known": sum(one.num_known for one in asked) / sum(one.num_tokens for one in asked),
    }


def base_tokenizer() -> Tokenize:
    """Texts to token ids, by the tokenizer of the packaged base model."""
    import torch
    from transformers import AutoTokenizer

    from adaptrix_core.base.source import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("smollm2-135m", torch.bfloat16).directory)
    return functools.cache(lambda text: list(tokenizer.encode(text, add_special_tokens=False)))
