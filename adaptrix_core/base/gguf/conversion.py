"""Writes a GGUF file as a directory that transformers reads: weights, configuration, tokenizer, generation defaults.

Done once for each file and precision, because parsing a vocabulary takes many seconds. A file of which any part would
be left out is refused.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig

from adaptrix_core.base.gguf.config import read_config
from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.base.gguf.tensors import GGUFTensors
from adaptrix_core.base.gguf.tokenizer import end_tokens, read_tokenizer
from adaptrix_core.base.layouts import Layout
from adaptrix_core.base.packed import PACKED_FILE, pack_weights, why_not_packed

CONVERSION = 2
"""Number of this way of converting; part of the cached directory's name, so that older conversions are made again."""

_FORMATS_OWN = ("adapter.", "split.", "control_vector.", "clip.", "xielu.")
"""Beginnings of keys that mean something to readers of the format; others but the architecture's are notes."""


def convert_gguf(path: Path, directory: Path, dtype: torch.dtype, layout: Layout | None) -> None:
    """Write the model in ``path`` to ``directory``, packed in ``layout`` where that can be, otherwise in ``dtype``.

    Raises BaseModelError (unsupported_gguf), or whatever the format's parser raises over a broken file.
    """
    file = GGUFFile(path)
    _read_notes(file)
    config = read_config(file)
    if why_not_packed(config) is not None:
        layout = None
    ends = end_tokens(file)
    tokenizer = read_tokenizer(file, path)
    tensors = GGUFTensors(file, config, layout or "int8")
    if layout is None:
        weights = tensors.state_dict(dtype)
    else:
        packed = pack_weights(tensors, config)
    file.check_used()
    tokenizer.save_pretrained(directory)
    config.save_pretrained(directory)
    _generation(file, ends).save_pretrained(directory)
    if layout is None:
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    else:
        packed.save(directory / PACKED_FILE)


def _read_notes(file: GGUFFile) -> None:
    """Mark keys without effect on the result as harmless: descriptions, and vendors' notes under their own prefixes."""
    if file.get("split.count", 0) > 1:
        raise file.refused(f"it is one of {file.get('split.count')} parts; join them with `llama-gguf-split --merge`")
    notes = ("split.", "general.", "tokenizer.chat_template", "tokenizer.huggingface.")
    meant = (f"{file.architecture}.", "tokenizer.", *_FORMATS_OWN)
    for key in file.unused_keys:
        if key.startswith(notes) or not key.startswith(meant):
            file.ignore(key)


def _generation(file: GGUFFile, ends: list[int]) -> GenerationConfig:
    """The generation config: begin and end tokens. Sampling values are read from the file at each load (`scan.py`)."""
    return GenerationConfig(
        bos_token_id=file.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=ends or None,
        pad_token_id=file.get("tokenizer.ggml.padding_token_id"),
    )
