"""The tokens that end an answer: end of text, of a turn and of a message, wherever a model declares them.

Beside configuration, generation config and tokenizer, the chat template counts: where it closes turns with one of the
usual tokens, a model that was trained with it ends its answers with it, declared or not. A token that is not special in
the vocabulary is text and ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NAMED = ("eot_token", "eom_token", "end_of_turn_token")
"""Attributes of tokenizers with further end tokens, beside ``eos_token``."""

_USUAL = (
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|end_of_turn|>", "<|endofturn|>",
    "<end_of_utterance>", "<EOT>", "[EOT]", "<turn|>",
)  # fmt: skip
"""Tokens that close a turn or a message in templates (most of them also in llama.cpp's `llama-vocab.cpp`)."""


def end_token_ids(module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> frozenset[int]:
    """Ids of all tokens that end an answer of ``module``."""
    ids = set(_flat(module.config.eos_token_id))
    if module.generation_config is not None:
        ids.update(_flat(module.generation_config.eos_token_id))
    if tokenizer is not None:
        ids.update(_flat(tokenizer.eos_token_id))
        ids.update(_turn_ends(tokenizer))
    return frozenset(ids)


def _turn_ends(tokenizer: PreTrainedTokenizerBase) -> Iterable[int]:
    special = {token.content: index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    named = tokenizer.special_tokens_map
    wanted = [named[name] for name in _NAMED if isinstance(named.get(name), str)]
    wanted += [token for token in _USUAL if token in template]
    return (special[token] for token in wanted if token in special)


def _flat(declared: Any) -> list[int]:
    """The declared ids as a list: configurations hold one, several, or none."""
    return list(declared) if isinstance(declared, list | tuple) else [] if declared is None else [declared]
