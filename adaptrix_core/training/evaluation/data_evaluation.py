"""Measures adapters on a user's own examples: share of right replies, and loss on the reference replies.

Runs on an `Engine`, beside the base model. The task families are the business of `evaluate.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table

from adaptrix_core.engine import Engine
from adaptrix_core.training.evaluation.prompting import Generator, prompt_of
from adaptrix_core.training.evaluation.report import percent, score_json
from adaptrix_core.training.evaluation.scorers import Scorer
from adaptrix_core.training.evaluation.scoring import Score
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples, reply_text
from adaptrix_core.training.examples.packing import Example

BASE = "base"
LOSS_TOKENS = 512
"""Tokens whose logits are in memory at a time: each takes four bytes per entry of the vocabulary."""


@dataclass(frozen=True)
class DataScore:
    """One condition (the base, or an adapter) on the examples."""

    score: Score
    loss: float
    """Mean cross entropy over the tokens of the reference replies, in nats."""

    def as_json(self) -> dict[str, Any]:
        """Counts, share and interval, loss and perplexity."""
        return {
            "score": score_json(self.score),
            "loss": round(self.loss, 5),
            "perplexity": round(math.exp(min(self.loss, 700.0)), 4),
        }


def evaluate_data(
    engine: Engine,
    conversations: Sequence[LearntConversation],
    adapters: Sequence[str],
    scorer: Scorer,
    generator: Generator,
    max_tokens: int,
    on_condition: Callable[[str], None] = lambda condition: None,
) -> dict[str, DataScore]:
    """The base, then each adapter, on every conversation: greedy replies marked by ``scorer``, and the loss.

    The loss is that of the references; calls of functions are compared as the model writes them. Raises ConfigError
    where no conversation fits into the base model's context; those that do not are left out.
    """
    examples = encode_examples(engine.base, conversations, engine.base.info.context_length)
    kept = [conversations[example.index] for example in examples]
    prompts = [prompt_of(conversation) for conversation in kept]
    references = [reply_text(conversation.reply, engine.base.calls.form) for conversation in kept]
    scores = {}
    for condition in (None, *adapters):
        name = condition or BASE
        on_condition(f"{name}: replies to {len(kept)} prompts")
        replies = generator.reply(prompts, condition, max_tokens)
        right = sum(scorer(reply, wanted) for reply, wanted in zip(replies, references, strict=True))
        on_condition(f"{name}: loss on {len(kept)} replies")
        scores[name] = DataScore(Score(right, len(kept)), reply_loss(engine, examples, condition))
    return scores


def reply_loss(engine: Engine, examples: Sequence[Example], adapter: str | None) -> float:
    """Mean cross entropy of the reply tokens (the end token among them), in nats."""
    total = 0.0
    for batch in _batches(examples):
        logits = engine.logits([list(example.token_ids) for example in batch], adapters=adapter)
        for example, rows in zip(batch, logits, strict=True):
            start = len(example.token_ids) - example.answer_length
            targets = torch.tensor(example.token_ids[start:])
            total += torch.nn.functional.cross_entropy(
                rows[start - 1 : -1].float().cpu(), targets, reduction="sum"
            ).item()
    return total / sum(example.answer_length for example in examples)


def data_table(scores: Mapping[str, DataScore], data: str, scorer: str) -> Table:
    """Shares in percent with their 95 % intervals, and losses."""
    total = next(iter(scores.values())).score.total
    table = Table(title=f"{data}: {total} examples, replies right by {scorer!r}, % (95 % interval)")
    for column in ("condition", "right", "loss", "perplexity"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    for name, result in scores.items():
        perplexity = math.exp(min(result.loss, 700.0))
        table.add_row(name, percent(result.score), f"{result.loss:.4f}", f"{perplexity:.2f}")
    return table


def _batches(examples: Sequence[Example]) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        if batch and sum(len(e.token_ids) for e in (*batch, example)) > LOSS_TOKENS:
            yield batch
            batch = []
        batch.append(example)
    yield batch
