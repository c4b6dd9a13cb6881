"""A `.gguf` file is used whole, or refused by the name of what would be left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGUFWriter

from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.gguf.config import read_config
from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.errors import BaseModelError
from tests.base.gguf_files import replacing, text, write_gguf
from tests.tiny_models import random_module

VOCAB = 288


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def written(path: Path, *changes: Callable[[GGUFWriter], object], variant: str = "llama", **options: object) -> Path:
    return write_gguf(path / "m.gguf", random_module(variant, vocab_size=VOCAB), *changes, **options)


def refusal(path: Path, precision: str = "fp32") -> BaseModelError:
    with pytest.raises(BaseModelError) as refused:
        BaseModelManager(str(path), device="cpu", precision=precision).load_model()
    return refused.value


def number(key: str, value: float) -> Callable[[GGUFWriter], object]:
    return lambda writer: writer.add_float32(key, value)


def count(key: str, value: int) -> Callable[[GGUFWriter], object]:
    return lambda writer: writer.add_uint32(key, value)


def values(name: str, size: int) -> Callable[[GGUFWriter], object]:
    return lambda writer: writer.add_tensor(name, np.ones(size, np.float32))


REFUSED: dict[str, tuple[Callable[[GGUFWriter], object], str]] = {
    "a logit scale": (number("llama.logit_scale", 0.0625), "llama.logit_scale = 0.0625"),
    "a residual scale": (number("llama.residual_scale", 0.22), "llama.residual_scale"),
    "an embedding scale": (number("llama.embedding_scale", 12.0), "llama.embedding_scale"),
    "another scale of attention": (number("llama.attention.scale", 0.015625), "llama.attention.scale"),
    "a softcap of attention": (number("llama.attn_logit_softcapping", 50.0), "llama.attn_logit_softcapping"),
    "a softcap of logits": (number("llama.final_logit_softcapping", 30.0), "llama.final_logit_softcapping"),
    "experts": (count("llama.expert_count", 8), "llama.expert_count = 8"),
    "no causal mask": (lambda writer: writer.add_causal_attention(False), "llama.attention.causal = False"),
    "pooling": (lambda writer: writer.add_pooling_type(gguf.PoolingType.MEAN), "llama.pooling_type"),
    "values of another width": (count("llama.attention.value_length", 8), "llama.attention.value_length"),
    "half of a head rotated": (count("llama.rope.dimension_count", 8), "llama.rope.dimension_count"),
    "an unknown scaling": (text("llama.rope.scaling.type", "dynamic"), "llama.rope.scaling.type = dynamic"),
    "longrope without its factors": (text("llama.rope.scaling.type", "longrope"), "rope.scaling.type = longrope"),
    "a factor of attention": (number("llama.rope.scaling.attn_factor", 1.2), "llama.rope.scaling.attn_factor"),
    "a log multiplier of yarn": (number("llama.rope.scaling.yarn_log_multiplier", 0.1), "yarn_log_multiplier"),
    "too few factors": (values("rope_freqs.weight", 3), "rope_freqs.weight has 3 factors, 8 frequencies"),
    "short factors alone": (values("rope_factors_short.weight", 8), "rope_factors_long.weight' is missing"),
    "a key of the future": (number("llama.attention.future", 1.0), "llama.attention.future"),
    "a tensor of the future": (values("blk.0.attn_future.weight", 8), "blk.0.attn_future.weight"),
    "a layer too many": (values("blk.4.attn_norm.weight", 64), "blk.4.attn_norm.weight"),
    "sub-norms": (values("blk.1.attn_sub_norm.weight", 64), "blk.1.attn_sub_norm.weight"),
    "a part of several": (lambda writer: writer.add_uint16("split.count", 3), "one of 3 parts"),
    "unknown splitting of text": (
        text("tokenizer.ggml.pre", "deepseek-coder"),
        "tokenizer.ggml.pre = 'deepseek-coder'",
    ),
    "another kind of tokenizer": (text("tokenizer.ggml.model", "rwkv"), "tokenizer.ggml.model is 'rwkv'"),
    "suppressed tokens": (
        lambda writer: writer.add_array("tokenizer.ggml.suppress_tokens", [3, 4]),
        "tokenizer.ggml.suppress_tokens",
    ),
    "heads that differ": (
        lambda writer: writer.add_array("llama.attention.head_count_kv", [2, 2, 1, 2]),
        "llama.attention.head_count_kv differs between layers",
    ),
}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_left_out_is_refused_by_name(tmp_path: Path, case: str, precision: str) -> None:
    change, said = REFUSED[case]
    error = refusal(written(tmp_path, replacing(change)), precision)
    assert error.code == "unsupported_gguf"
    assert said in error.message, error.message
    assert "safetensors" in error.message


OTHERS = {
    "qwen2": (count("qwen2.attention.sliding_window", 16), "qwen2.attention.sliding_window = 16"),
    "qwen3": (count("qwen3.expert_count", 128), "qwen3.expert_count = 128"),
    "gemma2": (number("gemma2.attention.scale", 0.2222), "gemma2.attention.scale"),
    "phi3": (text("phi3.rope.scaling.type", "yarn"), "phi3.rope.scaling.type = yarn"),
    "gpt2": (count("gpt2.attention.head_count_kv", 2), "gpt2.attention.head_count_kv"),
    "gpt_neox": (number("gptneox.attention.max_alibi_bias", 8.0), "gptneox.attention.max_alibi_bias = 8"),
}


@pytest.mark.parametrize("variant", OTHERS)
def test_it_is_so_in_every_family(tmp_path: Path, variant: str) -> None:
    change, said = OTHERS[variant]
    changes = {"sliding_window": None} if variant == "phi3" else {}
    module = random_module(variant, vocab_size=VOCAB, **changes)
    assert said in refusal(write_gguf(tmp_path / "m.gguf", module, change)).message


HARMLESS = {
    "notes": text("quantizer.by", "somebody"),
    "an importance matrix": text("quantize.imatrix.file", "x"),
    "no experts": count("llama.expert_count", 0),
    "a scale of one": number("llama.logit_scale", 1.0),
    "the usual scale of attention": number("llama.attention.scale", 0.25),
    "no scaling": lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.NONE),
    "another template": lambda writer: writer.add_chat_template([{"name": "tools", "template": "x"}]),
    "tokens for filling in": lambda writer: writer.add_uint32("tokenizer.ggml.fim_pre_token_id", 3),
    "heads for each layer": lambda writer: writer.add_array("llama.attention.head_count_kv", [2, 2, 2, 2]),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_changes_nothing_is_let_through(tmp_path: Path, case: str) -> None:
    plain = BaseModelManager(str(written(tmp_path)), device="cpu", precision="fp32").load_model()
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", replacing(HARMLESS[case]))
    loaded = BaseModelManager(str(other), device="cpu", precision="fp32").load_model()
    for name, tensor in plain.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], tensor), name
    assert loaded.module.config.rope_parameters == plain.module.config.rope_parameters


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("tensor", ["blk.2.ffn_down.weight", "output_norm.weight", "token_embd.weight"])
def test_a_tensor_that_is_missing_is_named_and_never_made_up(tmp_path: Path, tensor: str, precision: str) -> None:
    path = written(tmp_path, rename={tensor: "blk.0.elsewhere.weight"})
    assert tensor in refusal(path, precision).message


def test_a_norm_of_heads_that_is_missing_is_not_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, variant="qwen3", rename={"blk.1.attn_q_norm.weight": "blk.0.elsewhere.weight"})
    assert "blk.1.attn_q_norm.weight" in refusal(path, "int8").message


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, replacing(count("llama.feed_forward_length", 128))))
    assert "(96, 64)" in error.message
    assert "(128, 64)" in error.message


def test_another_architecture_is_refused_with_those_that_are_served(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "mamba")
    writer.add_name("m")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    error = refusal(tmp_path / "m.gguf")
    assert "'mamba'" in error.message
    assert "llama, qwen2" in error.message


def test_a_pointer_in_place_of_the_file_is_called_so(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "m.gguf").write_text(pointer)
    assert "git lfs pull" in refusal(tmp_path / "m.gguf").message
    random_module().save_pretrained(tmp_path / "hub")
    (tmp_path / "hub" / "model.safetensors").write_text(pointer)
    assert "git lfs pull" in refusal(tmp_path / "hub").message


@pytest.mark.parametrize(("architecture", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemma_scales_attention_by_a_share_of_the_states(
    tmp_path: Path, architecture: str, layers: int
) -> None:
    """Google's 27B sizes (llama.cpp's `gemma2.cpp`, `gemma3.cpp`); the file does not say so, its depth does."""
    scalars = {}
    for depth in (layers, layers - 1):
        writer = GGUFWriter(tmp_path / f"{depth}.gguf", architecture)
        writer.add_block_count(depth)
        writer.add_context_length(64)
        writer.add_embedding_length(96)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_key_length(16)
        writer.add_value_length(16)
        writer.add_sliding_window(8)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        scalars[depth] = read_config(GGUFFile(tmp_path / f"{depth}.gguf")).query_pre_attn_scalar
    assert scalars == {layers: 24, layers - 1: 16}


def test_a_pattern_of_windows_may_be_a_period_or_a_list(tmp_path: Path) -> None:
    module = random_module("gemma2", vocab_size=VOCAB, query_pre_attn_scalar=16)
    pattern = [True, True, False, True]
    for number, change in enumerate(
        (
            lambda writer: writer.add_array("gemma2.attention.sliding_window_pattern", pattern),
            count("gemma2.attention.sliding_window_pattern", 3),
        )
    ):
        path = write_gguf(tmp_path / f"{number}.gguf", module, change)
        config = BaseModelManager(str(path), device="cpu", precision="fp32").load_model().module.config
        assert [kind == "sliding_attention" for kind in config.layer_types] == pattern
