"""Recall of facts: each conversation held turn by turn under a budget of tokens, and then asked for its fact.

Tells whether the fact's turn is in the last prompt, how often a prompt was changed, and what share of the prompts'
tokens a prefix cache would have had.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass
class Held:
    """One conversation under one memory."""

    last: Selection
    whole: Exchanges
    left_out: list[tuple[int, ...]]
    """By each prompt, in order."""
    num_pruned: int
    """Prompts from which turns were left out that the one before had."""
    num_recalled: int
    """Prompts into which a turn came back, the last one not counted."""
    num_tokens: int
    """Of all prompts."""
    num_known: int
    """Of those, tokens in whole blocks that the prompt before began with."""

    def has(self, turn: int) -> bool:
        """Whether a turn is in the last prompt."""
        return turn in self.last.kept


def held(
    conversation: FactConversation, question: str, budget: int, relevance: Relevance | None, tokenize: Tokenize
) -> Held:
    """Hold a conversation. relevance: None for plain truncation, which leaves the oldest out as soon as it must."""
    whole = conversation.asked_in_the_end(question)
    tokens = [[token for m in turn.messages for token in _framed(tokenize, m["content"])] for turn in whole.turns]
    asked = [_framed(tokenize, turn.question) for turn in whole.turns]
    known: list[int] = []
    left_out: Sequence[int] = ()
    told = Held(Selection((), (), (), False, 0), whole, [], 0, 0, 0, 0)
    for turn in range(len(whole.turns)):
        sizes = [*(len(one) for one in tokens[:turn]), len(asked[turn])]
        chosen = _chosen(whole, turn, sizes, budget, relevance, left_out)
        prompt = [token for number in chosen.kept[:-1] for token in tokens[number]] + asked[turn]
        told.num_tokens += len(prompt)
        told.num_known += _common(known, prompt)
        told.num_pruned += chosen.is_pruned
        told.num_recalled += bool(chosen.recalled) and turn < len(whole.turns) - 1
        told.last, left_out = chosen, chosen.left_out
        told.left_out.append(chosen.left_out)
        known = prompt + tokens[turn][len(asked[turn]) :]
    return told


def _chosen(
    whole: Exchanges, turn: int, sizes: Sequence[int], budget: int, relevance: Relevance | None, left_out: Sequence[int]
) -> Selection:
    if relevance is None:
        return select(sizes, budget, left_out=left_out, keep_share=1.0)
    scores = None
    if left_out or sum(sizes) > budget:
        scores = relevance.of(whole.turns[turn].question, whole.turns[:turn])
    return select(sizes, budget, relevance=scores, recall_from=relevance.recall_from, left_out=left_out)


def _framed(tokenize: Tokenize, text: str) -> list[int]:
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
        asked = [held(one, one.asked, budget, relevance, tokenize) for one in told]
        reworded = [held(one, one.reworded, budget, relevance, tokenize) for one in told]
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
