"""A GGUF file's tokenizer, checked against the one that transformers makes of it, and the tokens that end an answer.

transformers builds the tokenizer (`integrations/gguf`). It splits text by the expression that `tokenizer.ggml.pre`
names if it knows the name, else by GPT-2's; names for which that is wrong are corrected or refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tokenizers import decoders, pre_tokenizers
from transformers import PreTrainedTokenizerBase, TokenizersBackend
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from adaptrix_core.base.gguf.file import GGUFFile

log = logging.getLogger(__name__)

_T = "tokenizer.ggml."
_BYTE_LEVEL, _SENTENCEPIECE = "gpt2", "llama"

_LIKE_GPT2 = (
    "gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert",
    "mpt", "olmo", "jais", "trillion", "granite-docling",
)  # fmt: skip
"""llama.cpp's names for GPT-2's expression (`llama-vocab.cpp`), which transformers falls back to."""
_DIGITS_FIRST = (
    "smollm", "refact", "command-r", "starcoder", "codeshell", "exaone", "minerva-7b", "mellum2",
)  # fmt: skip
"""Names for the same expression after digits were cut apart, which transformers does not know."""
_WHOLE_WORDS_FIRST = (
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken",
)  # fmt: skip
"""Names under which a word that is a token is taken whole, whatever the merges say (`ignore_merges`)."""

_USED = ("model", "pre", "tokens", "scores", "token_type", "merges", "unknown_token_id",
         "add_bos_token", "add_eos_token")  # fmt: skip
_HARMLESS = (
    "fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id", "fim_pad_token_id", "fim_rep_token_id",
    "fim_sep_token_id", "prefix_token_id", "suffix_token_id", "middle_token_id", "cls_token_id", "mask_token_id",
    "seperator_token_id", "separator_token_id", "token_type_count", "precompiled_charsmap", "remove_extra_whitespaces",
)  # fmt: skip
"""Keys without effect: tokens that this engine never uses, and keys for other kinds of tokenizers."""
_NEUTRAL = {"add_sep_token": False, "normalizer.lowercase": False, "normalizer.strip_accents": False}
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id", "eog_token_ids")
"""Keys of end tokens (of text, of a turn, of a message): an answer ends with any of them, as in llama.cpp."""


def read_tokenizer(file: GGUFFile, path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of ``file``, which lies at ``path``. Raises BaseModelError for one that would split otherwise."""
    split = _check(file)
    tokenizer: PreTrainedTokenizerBase = TokenizersBackend.from_pretrained(str(path.parent), gguf_file=path.name)
    backend = tokenizer.backend_tokenizer
    if split in _DIGITS_FIRST:
        digits = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if split in _WHOLE_WORDS_FIRST:
        backend.model.ignore_merges = True
    if _begins_without_space(file):
        backend.normalizer = None
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def end_tokens(file: GGUFFile) -> list[int]:
    """Ids of the tokens that end an answer, ascending. Raises BaseModelError for one outside the vocabulary."""
    ids: set[int] = set()
    size = file.count(_T + "tokens")
    for name in _ENDS:
        value = file.get(_T + name)
        for token in value if isinstance(value, list) else [] if value is None else [value]:
            if not 0 <= int(token) < size:
                raise file.refused(f"{_T}{name} is {token}, the vocabulary has {size} tokens")
            ids.add(int(token))
    return sorted(ids)


def _begins_without_space(file: GGUFFile) -> bool:
    """Whether a SentencePiece vocabulary puts no space before a text although transformers would put one."""
    prefix = file.get(_T + "add_space_prefix")
    if prefix is None or file.get(_T + "model") != _SENTENCEPIECE:
        return False
    without = file.architecture.startswith("gemma")
    if without and prefix:
        raise file.refused(f"{_T}add_space_prefix is not supported for this architecture")
    return not prefix and not without


def _check(file: GGUFFile) -> str | None:
    """Mark the tokenizer's keys as used; returns the name of its way of splitting, None for kinds without one."""
    kind = str(file.get(_T + "model"))
    if kind not in (_BYTE_LEVEL, _SENTENCEPIECE):
        raise file.refused(f"{_T}model is {kind!r}, {_BYTE_LEVEL} and {_SENTENCEPIECE} are supported")
    for name in (*_USED, *_HARMLESS):
        file.ignore(_T + name)
    for name, neutral in _NEUTRAL.items():
        if file.get(_T + name, neutral) != neutral:
            raise file.refused(f"{_T}{name} is not supported")
    if file.count(_T + "suppress_tokens"):
        raise file.refused(f"{_T}suppress_tokens is not supported")
    rows, tokens = file.shape("token_embd.weight"), file.count(_T + "tokens")
    if rows and tokens > rows[0]:
        raise file.refused(f"{tokens} tokens, but embeddings for {rows[0]} only")
    return _split(file) if kind == _BYTE_LEVEL else None


def _split(file: GGUFFile) -> str | None:
    split: str | None = file.get(_T + "pre")
    if split in (None, "default"):
        log.warning("%s does not say how text is split (%spre); GPT-2's way is used", file.name, _T)
    elif split not in GGUF_PRE_TOKENIZER_SPLITS and split not in (*_LIKE_GPT2, *_DIGITS_FIRST):
        raise file.refused(f"{_T}pre = {split!r}, a way to split text that is not known")
    return split
