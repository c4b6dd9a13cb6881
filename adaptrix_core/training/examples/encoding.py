"""Encodes pairs of texts as token ids, in the form of a conversation with the base model."""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.base import BaseModel
from adaptrix_core.errors import ConfigError
from adaptrix_core.training.examples.packing import Example


def encode_examples(base: BaseModel, pairs: Sequence[tuple[str, str]], max_tokens: int) -> list[Example]:
    """(user message, reply) pairs as token ids under the base's chat template; the reply ends with the end token.

    Pairs longer than ``max_tokens`` are left out. Raises ConfigError where none is left.
    """
    tokenizer = base.require_tokenizer()
    examples = []
    for index, (question, reply) in enumerate(pairs):
        prompt = base.encode_chat([{"role": "user", "content": question}])
        answer = [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]
        if len(prompt) + len(answer) <= max_tokens:
            examples.append(Example(index, (*prompt, *answer), len(answer)))
    if not examples:
        raise ConfigError([f"max_tokens_per_example is {max_tokens}: none of {len(pairs)} examples is that short"])
    return examples
