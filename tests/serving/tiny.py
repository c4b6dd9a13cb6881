"""A small world on disk for serving tests: a tiny random Llama with a tokenizer trained on the spot, keys, adapters.

The model answers nonsense, but always the same nonsense; adapters have weights large enough to change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from adaptrix_core.adapters import describe, generate_key_pair, write_package
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.injection.lora import LoraWeights, PointWeights

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CORPUS = [
    "The quick brown fox jumps over the lazy dog. What is seventeen plus twenty five?",
    "Write a function that returns the sum of two numbers. Who is the mother of my father?",
    "système, naïveté, Größe, 你好世界, привет, 😀 and 👩‍🚀 are words too; 0123456789 + - * / = ( ) { } [ ] \" ' : ,",
]
CONTEXT = 4096


def save_tiny_base(directory: Path, seed: int = 0) -> None:
    """Write a four-layer Llama of random weights, and its tokenizer, as transformers reads them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    fast.save_pretrained(directory)


def load_base(directory: Path) -> BaseModel:
    """The base as a replica loads it."""
    return BaseModelManager(str(directory), "cpu", "fp32").load_model()


def random_weights(base: BaseModel, seed: int, rank: int = 4, layers: tuple[int, ...] = (1, 2)) -> LoraWeights:
    """LoRA weights on q_proj and up_proj, strong enough to change what is generated."""
    generator = torch.Generator().manual_seed(seed)
    points = {}
    for layer in layers:
        for module in ("self_attn.q_proj", "mlp.up_proj"):
            spec = base.points[layer, module]
            lora_a = torch.randn(rank, spec.d_in, generator=generator)
            lora_b = torch.randn(spec.d_out, rank, generator=generator)
            points[layer, module] = PointWeights(lora_a, lora_b, 1.0)
    return LoraWeights(points)


@dataclass(frozen=True)
class World:
    """Everything a server needs, under one directory."""

    root: Path
    base_dir: Path
    private_key: Path

    @property
    def shipped(self) -> Path:
        """Adapters that are there from the start."""
        return self.root / "adapters"

    @property
    def uploads(self) -> Path:
        """Where adapters may be loaded from at run time."""
        return self.root / "uploads"

    @property
    def keys(self) -> Path:
        """Trusted public keys."""
        return self.root / "keys"

    def write_adapter(
        self,
        directory: Path,
        name: str,
        seed: int,
        base: BaseModel | None = None,
        signed: bool = True,
        rank: int = 4,
        **fields: object,
    ) -> Path:
        """Write a package called ``name`` into ``directory / name`` and return that path."""
        base = base or load_base(self.base_dir)
        weights = random_weights(base, seed, rank)
        target = directory / name
        metadata = describe(weights, base.info, name, **fields)
        write_package(target, metadata, weights, private_key=self.private_key if signed else None)
        return target

    def settings(self, **sections: dict[str, object]) -> dict[str, object]:
        """The `args` of a small server; keyword arguments add to sections."""
        args: dict[str, dict[str, object]] = {
            "base": {"model": str(self.base_dir), "device": "cpu", "precision": "fp32"},
            "adapters": {
                "dir": str(self.shipped),
                "state_dir": str(self.root / "state"),
                "trusted_keys_dir": str(self.keys),
            },
            "engine": {"max_rows": 8, "max_batch_tokens": 128, "kv_cache_tokens": 20_000, "max_queue": 64},
            "replicas": {"num_replicas": 1, "cpus": 0.3},
            "security": {"load_roots": [str(self.uploads)], "max_body_bytes": "1MiB"},
        }
        for name, section in sections.items():
            args.setdefault(name, {}).update(section)
        return dict(args)


def make_world(root: Path) -> World:
    """A fresh world: base, keys, three shipped adapters, and nothing loaded."""
    world = World(root, root / "tiny-llama", root / "signer.key")
    for directory in (world.shipped, world.uploads, world.keys):
        directory.mkdir(parents=True)
    save_tiny_base(world.base_dir)
    generate_key_pair(world.private_key, world.keys / "tests.pub")
    base = load_base(world.base_dir)
    for seed, (name, description, examples) in enumerate(CARDS, start=1):
        world.write_adapter(
            world.shipped, name, seed, base, description=description, routing_examples=examples, version="1.0.0"
        )
    return world


CARDS = (
    (
        "math_reasoning",
        "Solves arithmetic: sums, simple equations, counting.",
        ("What is 17 + 25?", "Calculate 3 + 4 - 9.", "Solve 2x + 3 = 11 for x.", "How many legs do 3 dogs have?"),
    ),
    (
        "code_generation",
        "Writes short Python functions.",
        ("Write a Python function that adds two numbers.", "Implement a function that reverses a list in Python."),
    ),
    (
        "logical_reasoning",
        "Answers riddles about families and syllogisms.",
        ("John is the father of Ann. Who is Ann to John?", "All cats are animals. Tom is a cat. Is Tom an animal?"),
    ),
)
