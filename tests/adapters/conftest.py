"""Tiny in-memory bases, random adapters for them, and a signer that the tests trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adaptrix_core.adapters import TrustPolicy, generate_key_pair
from adaptrix_core.base import BaseModel, Point
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from tests.adapters.peft_directories import make_peft

SIZES = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
FAMILIES = {
    "llama": {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2},
    "gpt2": {"vocab_size": 97, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},
    "phi3": {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "pad_token_id": 0},
    "gpt_neox": {**SIZES, "intermediate_size": 48},
    "opt": {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64, "pad_token_id": 0},
}


@pytest.fixture(scope="session")
def make_base() -> Callable[..., BaseModel]:
    """``make_base(family="llama", lineage="test/llama", seed=0)`` -> a random base model of that family."""

    def build(family: str = "llama", lineage: str | None = None, seed: int = 0) -> BaseModel:
        torch.manual_seed(seed)
        config = AutoConfig.for_model(family, **FAMILIES[family], bos_token_id=1, eos_token_id=2)
        module = AutoModelForCausalLM.from_config(config)
        return BaseModel.from_module(module, lineage=lineage or f"test/{family}", name=f"tiny-{family}")

    return build


@pytest.fixture(scope="session")
def base(make_base: Callable[..., BaseModel]) -> BaseModel:
    return make_base()


@pytest.fixture(scope="session")
def make_weights() -> Callable[..., LoraWeights]:
    """``make_weights(base, points=None, rank=2, seed=0, dtype=float32)`` -> random weights in layers 1, 2."""

    def build(
        base: BaseModel,
        points: Iterable[Point] | None = None,
        rank: int = 2,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> LoraWeights:
        generator = torch.Generator().manual_seed(seed)
        chosen = [(1, "self_attn.q_proj"), (2, "mlp.up_proj")] if points is None else list(points)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator).to(dtype)

        return LoraWeights(
            {
                point: PointWeights(
                    random(rank, base.points[point].d_in), random(base.points[point].d_out, rank), 0.1 + index
                )
                for index, point in enumerate(chosen)
            }
        )

    return build


@dataclass(frozen=True)
class Signer:
    """A key pair whose public half lies in a trusted-keys directory of its own."""

    private: Path
    public: Path
    trust: TrustPolicy


@pytest.fixture(scope="session")
def make_signer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Signer]:
    """``make_signer(name)`` -> a fresh key pair and the policy that trusts it alone."""

    def build(name: str) -> Signer:
        directory = tmp_path_factory.mktemp(name)
        private, public = directory / "private" / f"{name}.key", directory / "trusted" / f"{name}.pub"
        generate_key_pair(private, public)
        return Signer(private, public, TrustPolicy("require", public.parent))

    return build


@pytest.fixture(scope="session")
def signer(make_signer: Callable[[str], Signer]) -> Signer:
    return make_signer("release")


@pytest.fixture
def plain(tmp_path: Path, base: BaseModel) -> Path:
    """A PEFT directory with two layers of `q_proj`, rank 4."""
    make_peft(base, tmp_path / "peft", target_modules=["q_proj"], layers_to_transform=[1, 2])
    return tmp_path / "peft"
