"""The frozen base model: its description, and running a span of its layers.

A `BaseModel` is a transformers causal LM in evaluation mode with its tokenizer, its facts and its injection points
(`manager.py` loads one). It knows nothing of adapters, requests or caches; the caller chooses the attention function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.base.end_tokens import end_token_ids
from adaptrix_core.base.families.family import Family, Rotary
from adaptrix_core.base.families.lookup import family_of
from adaptrix_core.base.families.parts import Point, PointSpec
from adaptrix_core.base.running import LayerCall, call_directly, running
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.sampling import SamplingDefaults, from_generation_config
from adaptrix_core.tools.call_form import TemplateCalls, calls_of_template
from adaptrix_core.tools.template_input import template_input, template_text

FALLBACK_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""Chat template for a base without one of its own; reported as ``chat_template: fallback``."""


@dataclass(frozen=True)
class BaseModelInfo:
    """Facts about a loaded base model."""

    name: str
    family: str
    lineage: str
    signature: str
    """Shape of the model: equal for two models whose weights are interchangeable by shape."""
    digest: str
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    num_parameters: int
    memory_bytes: int
    context_length: int
    device: str
    dtype: str
    layout: str
    """Layout of the weights: a number format, or ``int4`` and ``int8`` for packed ones."""
    chat_template: str
    """``model``, ``fallback`` or ``none`` (no tokenizer)."""


class BaseModel:
    """A loaded base model: weights frozen, evaluation mode."""

    def __init__(
        self, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, name: str, lineage: str, digest: str
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.family: Family = family_of(module.config.model_type)
        self.points: dict[Point, PointSpec] = self.family.points(module)
        self.tokenizer = tokenizer
        chat_template = _prepare_tokenizer(tokenizer, module)
        self.info = _describe(self, name, lineage, digest, chat_template)
        self.eos_token_ids = end_token_ids(module, tokenizer)
        self.sampling = _sampling(module, name)
        """The model's sampling defaults."""

    @property
    def device(self) -> torch.device:
        """The device that states are computed on."""
        device: torch.device = self.module.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of states."""
        dtype: torch.dtype = self.module.dtype
        return dtype

    @property
    def kv_dtype(self) -> torch.dtype:
        """Number format of keys and values in the cache."""
        return self.dtype

    @property
    def layout(self) -> str:
        """Layout of the weights; part of every cache key, as other layouts give other states."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def memory_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(p.numel() * p.element_size() for p in self.module.parameters())

    @classmethod
    def from_module(
        cls,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        lineage: str = "in-memory",
        name: str = "in-memory",
    ) -> BaseModel:
        """Wrap a model that is in memory already; its digest is taken over its tensors."""
        return cls(module, tokenizer, name, lineage, _digest_tensors(module))

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], options: ChatOptions = ORDINARY, special: bool = False
    ) -> list[int]:
        """Chat messages -> token ids, by the model's template. Raises InvalidRequest for messages it refuses.

        special: whether to add the special tokens of raw text too; most templates write them out themselves.
        """
        text = self.chat_text(messages, options)
        return list(self.require_tokenizer().encode(text, add_special_tokens=special))

    def chat_text(self, messages: Sequence[Mapping[str, Any]], options: ChatOptions = ORDINARY) -> str:
        """Chat messages as the model's template writes them. Raises InvalidRequest for messages that it refuses."""
        tokenizer = self.require_tokenizer()
        try:
            return str(
                tokenizer.apply_chat_template(
                    **template_input(messages, options.toolset, self.calls),
                    add_generation_prompt=options.add_generation_prompt,
                    continue_final_message=options.continue_final_message,
                    tokenize=False,
                    **options.chat_template_kwargs,
                )
            )
        except Exception as error:  # templates raise many kinds of jinja2 errors, for unknown roles too
            raise InvalidRequest(f"the chat template refused the messages: {error}", param="messages") from error

    @property
    def calls(self) -> TemplateCalls:
        """How the model writes calls of functions, and whether its template knows them."""
        return calls_of_template(template_text(getattr(self.tokenizer, "chat_template", None)))

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Raw text -> token ids. special: whether with the special tokens that the model expects in front."""
        return list(self.require_tokenizer().encode(text, add_special_tokens=special))

    def require_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; raises InvalidRequest for a base without one."""
        if self.tokenizer is None:
            raise InvalidRequest(f"base model {self.info.name!r} has no tokenizer; send token ids instead of text")
        return self.tokenizer

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """Token ids and positions ``(1, tokens)`` -> states entering layer 0, ``(1, tokens, hidden)``."""
        return self.family.embed(self.module, token_ids, positions)

    def rotary(self, hidden: Tensor, positions: Tensor) -> Rotary:
        """Position embeddings for a step, by layer type."""
        return self.family.rotary(self.module, hidden, positions)

    def run_span(
        self,
        span: range,
        hidden: Tensor,
        positions: Tensor,
        rotary: Rotary,
        paged: Any,
        call: LayerCall = call_directly,
    ) -> Tensor:
        """Run the layers of ``span``, in order, on ``hidden`` ``(1, tokens, hidden)``; returns the same shape.

        paged: becomes `running.paged` for the attention function. call: calls a layer, for example compiled.
        """
        layers = self.family.layers(self.module)
        with running.span(paged):
            for index in span:
                running.layer = index
                hidden = call(layers[index], hidden, self.family.layer_arguments(self.module, index, positions, rotary))
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """States leaving the last layer ``(tokens, hidden)`` -> logits ``(tokens, vocab)``."""
        return self.family.head(self.module, hidden)


def _prepare_tokenizer(tokenizer: PreTrainedTokenizerBase | None, module: PreTrainedModel) -> str:
    """Give the tokenizer a padding token and a chat template; returns where the template is from."""
    if tokenizer is None:
        return "none"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    module.config.pad_token_id = tokenizer.pad_token_id
    if tokenizer.chat_template and tokenizer.chat_template != FALLBACK_CHAT_TEMPLATE:
        return "model"
    tokenizer.chat_template = FALLBACK_CHAT_TEMPLATE
    return "fallback"


def _sampling(module: PreTrainedModel, name: str) -> SamplingDefaults:
    config = module.generation_config
    return SamplingDefaults() if config is None else from_generation_config(config.to_diff_dict(), name)


def _describe(base: BaseModel, name: str, lineage: str, digest: str, chat_template: str) -> BaseModelInfo:
    config = base.module.config
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    up = base.points[0, "mlp.up_proj"]
    signature = (
        f"{config.model_type}:layers={config.num_hidden_layers},hidden={config.hidden_size},heads={heads},"
        f"kv_heads={kv_heads},head_dim={head_dim},mlp={up.d_out},vocab={config.vocab_size}"
    )
    return BaseModelInfo(
        name=name,
        family=base.family.name,
        lineage=lineage,
        signature=signature,
        digest=digest,
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=config.vocab_size,
        num_parameters=sum(p.numel() for p in base.module.parameters()),
        memory_bytes=base.memory_bytes,
        context_length=_context_length(config),
        device=str(base.device),
        dtype=str(base.dtype).removeprefix("torch."),
        layout=base.layout,
        chat_template=chat_template,
    )


def _context_length(config: Any) -> int:
    """Longest sequence the model is exact for.

    `longrope` and `dynamic` rotary embeddings change all positions once a sequence passes the original length, so rows
    of one batch would disturb each other there: such models are served up to the original length.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("longrope", "dynamic"):
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        return int(original or config.max_position_embeddings)
    return int(config.max_position_embeddings)


def _digest_tensors(module: PreTrainedModel) -> str:
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        header = f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode()
        data = tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.dim() else b""
        total.update(len(header).to_bytes(8, "big") + header + data)
    return total.hexdigest()
