"""Small models as files: a transformers directory, the hub's cache layout, a `.gguf` file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from huggingface_hub import constants
from transformers import PreTrainedTokenizerFast

from tests.tiny_models import byte_tokenizer, random_module


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """``save_model("name", seed=0, tokenizer=None, **changes)`` -> a directory as `save_pretrained` writes it."""

    def save(
        name: str, seed: int = 0, tokenizer: PreTrainedTokenizerFast | None = None, variant: str = "llama"
    ) -> Path:
        directory = tmp_path / name
        vocab = {} if tokenizer is None else {"vocab_size": len(tokenizer)}
        random_module(variant, seed, **vocab).save_pretrained(directory)
        if tokenizer is not None:
            tokenizer.save_pretrained(directory)
        return directory

    return save


@pytest.fixture
def hub_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, dict[str, str], dict[str, Path]], None]:
    """``hub_cache("org/name", refs, snapshots)`` lays out a downloaded repository; the hub itself is out of reach."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert constants.is_offline_mode()

    def lay_out(repo: str, refs: dict[str, str], snapshots: dict[str, Path]) -> None:
        root = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "snapshots").mkdir()
        for ref, commit in refs.items():
            (root / "refs" / ref).write_text(commit)
        for commit, directory in snapshots.items():
            (root / "snapshots" / commit).symlink_to(directory, target_is_directory=True)

    return lay_out


@pytest.fixture
def gguf_file(tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole Llama of two layers with its vocabulary, and a conversion cache of the test's own."""
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny-llama.gguf"
    writer = GGUFWriter(path, "llama")
    hidden, heads, kv_heads, mlp, layers = 32, 4, 2, 48, 2
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(mlp)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(len(tokenizer))
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types([3 if token == "<eos>" else 1 for token, _ in vocab])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    random = np.random.default_rng(0)
    kv = hidden * kv_heads // heads
    shapes = {"token_embd": (len(tokenizer), hidden), "output": (len(tokenizer), hidden), "output_norm": (hidden,)}
    for layer in range(layers):
        for name, shape in {
            "attn_q": (hidden, hidden),
            "attn_k": (kv, hidden),
            "attn_v": (kv, hidden),
            "attn_output": (hidden, hidden),
            "ffn_gate": (mlp, hidden),
            "ffn_up": (mlp, hidden),
            "ffn_down": (hidden, mlp),
            "attn_norm": (hidden,),
            "ffn_norm": (hidden,),
        }.items():
            shapes[f"blk.{layer}.{name}"] = shape
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
