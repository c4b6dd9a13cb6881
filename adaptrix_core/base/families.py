"""Model families: the places of embedding, layers, norm and head in each, and the names of its modules.

Everything outside this file speaks *canonical* module names (`self_attn.q_proj`, `mlp.up_proj`, …). A family maps them
to the real modules of a transformers model, or to a slice of a fused one, and runs a span of its layers over a packed
batch of shape ``(1, tokens, hidden)``. It knows nothing of adapters, caches or requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from adaptrix_core.errors import BaseModelError

Q, K, V, OUT = "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"
GATE, UP, DOWN = "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"

MODULES = (Q, K, V, OUT, GATE, UP, DOWN)
"""The canonical module names, in the order in which a layer runs them."""

ALIASES: Mapping[str, str] = {"mlp.c_fc": UP, "mlp.c_proj": DOWN}

Point = tuple[int, str]
"""An injection point: (layer index, canonical module name)."""

Rotary = Mapping[str, tuple[Tensor, Tensor]]
"""Cosine and sine, each ``(1, tokens, rotary_dim)``, by layer type."""


def canonical_name(module: str) -> str:
    """The canonical name of ``module``; raises BaseModelError for a name that is neither canonical nor an alias."""
    name = ALIASES.get(module, module)
    if name not in MODULES:
        known = ", ".join((*MODULES, *ALIASES))
        raise BaseModelError(f"module name {module!r} is not known; use one of {known}", code="unknown_module")
    return name


@dataclass(frozen=True)
class Whole:
    """The canonical module is the real module."""

    def view(self, output: Tensor) -> Tensor:
        """The part of the real module's ``output`` ``(tokens, d)`` that belongs to the canonical module."""
        return output

    def rows(self, d_out_real: int) -> Tensor:
        """Output indices of the real module that belong to the canonical one, ``(d_out,)`` int64."""
        return torch.arange(d_out_real)


@dataclass(frozen=True)
class Slice:
    """Outputs ``start … stop`` of a fused module (GPT-2 `c_attn`, Phi-3 `qkv_proj` and `gate_up_proj`)."""

    start: int
    stop: int

    def view(self, output: Tensor) -> Tensor:
        """See `Whole.view`."""
        return output[..., self.start : self.stop]

    def rows(self, d_out_real: int) -> Tensor:
        """See `Whole.rows`."""
        return torch.arange(self.start, self.stop)


@dataclass(frozen=True)
class PerHead:
    """Part ``index`` of ``num_parts`` inside every head of a fused module (GPT-NeoX `query_key_value`)."""

    index: int
    num_parts: int
    num_heads: int
    head_dim: int

    def view(self, output: Tensor) -> Tensor:
        """The part as ``(tokens, heads, head_dim)``: a view, so that writing to it writes to ``output``."""
        part: Tensor = output.unflatten(-1, (self.num_heads, self.num_parts, self.head_dim))[..., self.index, :]
        return part

    def rows(self, d_out_real: int) -> Tensor:
        """See `Whole.rows`."""
        grid = torch.arange(d_out_real).view(self.num_heads, self.num_parts, self.head_dim)
        return grid[:, self.index].reshape(-1)


Part = Whole | Slice | PerHead


@dataclass(frozen=True)
class PointSpec:
    """One injection point of a loaded model."""

    layer: int
    name: str
    d_in: int
    d_out: int
    module_path: str
    """The real module inside the layer, for example ``attn.c_attn``."""
    part: Part


class Family:
    """The Llama layout, shared by most families; the others override what differs."""

    def __init__(self, name: str, backbone: str = "model", prefix: str = "model.layers") -> None:
        self.name = name
        self.backbone_path = backbone
        self.layers_path = prefix

    def backbone(self, model: PreTrainedModel) -> Any:
        """The module that holds embedding, layers and final norm."""
        return model.get_submodule(self.backbone_path)

    def layers(self, model: PreTrainedModel) -> nn.ModuleList:
        """The decoder layers."""
        layers = model.get_submodule(self.layers_path)
        assert isinstance(layers, nn.ModuleList)
        return layers

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """Canonical name -> (path of the real module inside a layer, part of its output)."""
        return {name: (name, Whole()) for name in MODULES}

    def points(self, model: PreTrainedModel) -> dict[Point, PointSpec]:
        """Every injection point of ``model``."""
        found = {}
        for index, layer in enumerate(self.layers(model)):
            for name, (path, part) in self.modules(model.config).items():
                d_in, d_out_real = linear_shape(layer.get_submodule(path))
                d_out = int(part.rows(d_out_real).numel())
                found[index, name] = PointSpec(index, name, d_in, d_out, path, part)
        return found

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """Token ids and positions ``(1, tokens)`` -> states ``(1, tokens, hidden)`` that enter layer 0."""
        states: Tensor = self.backbone(model).embed_tokens(token_ids)
        return states

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """Position embeddings by layer type, computed once per step."""
        rope = self.backbone(model).rotary_emb(hidden, positions)
        return dict.fromkeys(layer_types(model), rope)

    def layer_arguments(self, model: PreTrainedModel, index: int, positions: Tensor, rotary: Rotary) -> dict[str, Any]:
        """Keyword arguments of layer ``index``, beside the states ``(1, tokens, hidden)`` that enter it."""
        return {
            "attention_mask": None,
            "position_ids": positions,
            "position_embeddings": rotary[layer_types(model)[index]],
            "use_cache": False,
        }

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """States that leave the last layer ``(…, hidden)`` -> logits ``(…, vocab)`` in the model's precision."""
        logits: Tensor = model.lm_head(self.backbone(model).norm(hidden))
        return softcapped(logits, getattr(model.config, "final_logit_softcapping", None))


class Gemma3(Family):
    """Global and sliding layers rotate by different frequencies."""

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """See `Family.rotary`."""
        rope = self.backbone(model).rotary_emb
        return {kind: rope(hidden, positions, kind) for kind in set(layer_types(model))}


class Phi3(Family):
    """Fused query/key/value and fused gate/up."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        q, kv, f = (
            config.num_attention_heads * head_dim,
            config.num_key_value_heads * head_dim,
            config.intermediate_size,
        )
        qkv, gate_up = "self_attn.qkv_proj", "mlp.gate_up_proj"
        return {
            Q: (qkv, Slice(0, q)),
            K: (qkv, Slice(q, q + kv)),
            V: (qkv, Slice(q + kv, q + 2 * kv)),
            OUT: (OUT, Whole()),
            GATE: (gate_up, Slice(0, f)),
            UP: (gate_up, Slice(f, 2 * f)),
            DOWN: (DOWN, Whole()),
        }


class GPT2(Family):
    """Learned positions, fused `c_attn`, weights stored transposed (Conv1D)."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        h = config.hidden_size
        return {
            Q: ("attn.c_attn", Slice(0, h)),
            K: ("attn.c_attn", Slice(h, 2 * h)),
            V: ("attn.c_attn", Slice(2 * h, 3 * h)),
            OUT: ("attn.c_proj", Whole()),
            UP: ("mlp.c_fc", Whole()),
            DOWN: ("mlp.c_proj", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        backbone = self.backbone(model)
        states: Tensor = backbone.wte(token_ids) + backbone.wpe(positions)
        return states

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """No rotary embedding in this family."""
        return {}

    def layer_arguments(self, model: PreTrainedModel, index: int, positions: Tensor, rotary: Rotary) -> dict[str, Any]:
        """See `Family.layer_arguments`."""
        return {"attention_mask": None, "use_cache": False}

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        logits: Tensor = model.lm_head(self.backbone(model).ln_f(hidden))
        return logits


class GPTNeoX(Family):
    """Parallel residual, rotary fraction, query/key/value interleaved by head."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        heads, head_dim = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        fused = "attention.query_key_value"
        return {
            Q: (fused, PerHead(0, 3, heads, head_dim)),
            K: (fused, PerHead(1, 3, heads, head_dim)),
            V: (fused, PerHead(2, 3, heads, head_dim)),
            OUT: ("attention.dense", Whole()),
            UP: ("mlp.dense_h_to_4h", Whole()),
            DOWN: ("mlp.dense_4h_to_h", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        states: Tensor = self.backbone(model).embed_in(token_ids)
        return states

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        logits: Tensor = model.lm_head(self.backbone(model).final_layer_norm(hidden))
        return logits


class OPT(Family):
    """Learned positions with an offset, optional embedding projections, norm before or after."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        return {
            Q: (Q, Whole()),
            K: (K, Whole()),
            V: (V, Whole()),
            OUT: ("self_attn.out_proj", Whole()),
            UP: ("fc1", Whole()),
            DOWN: ("fc2", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        decoder = self.backbone(model)
        states = decoder.embed_tokens(token_ids)
        if decoder.project_in is not None:
            states = decoder.project_in(states)
        placed: Tensor = states + decoder.embed_positions(None, 0, position_ids=positions)
        return placed

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """No rotary embedding in this family."""
        return {}

    def layer_arguments(self, model: PreTrainedModel, index: int, positions: Tensor, rotary: Rotary) -> dict[str, Any]:
        """See `Family.layer_arguments`."""
        return {"attention_mask": None, "position_ids": positions}

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        decoder = self.backbone(model)
        if decoder.final_layer_norm is not None:
            hidden = decoder.final_layer_norm(hidden)
        if decoder.project_out is not None:
            hidden = decoder.project_out(hidden)
        logits: Tensor = model.lm_head(hidden)
        return logits


FAMILIES: Mapping[str, Family] = {
    "llama": Family("llama"),
    "mistral": Family("mistral"),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "gemma2": Family("gemma2"),
    "gemma3_text": Gemma3("gemma3"),
    "phi3": Phi3("phi3"),
    "gpt2": GPT2("gpt2", "transformer", "transformer.h"),
    "gpt_neox": GPTNeoX("gpt_neox", "gpt_neox", "gpt_neox.layers"),
    "opt": OPT("opt", "model.decoder", "model.decoder.layers"),
}
"""transformers' ``model_type`` -> family."""


def family_of(model_type: str) -> Family:
    """The family of a transformers ``model_type``; raises BaseModelError naming the known ones."""
    if model_type not in FAMILIES:
        raise BaseModelError(
            f"model family {model_type!r} is not known; known families: {', '.join(sorted(FAMILIES))}",
            code="unknown_family",
        )
    return FAMILIES[model_type]


def layer_types(model: PreTrainedModel) -> list[str]:
    """Each layer's kind of attention by transformers' name; ``full_attention`` where the family has just one."""
    kinds = getattr(model.config, "layer_types", None)
    return list(kinds) if kinds else ["full_attention"] * model.config.num_hidden_layers


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """(d_in, d_out) of a linear module; Conv1D (GPT-2) stores its weight transposed."""
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    assert isinstance(module, nn.Linear), type(module)
    return module.in_features, module.out_features


def softcapped(logits: Tensor, cap: float | None) -> Tensor:
    """``cap * tanh(logits / cap)`` (Gemma 2 technical report, arXiv:2408.00118, section 2); identity without a cap."""
    return logits if cap is None else torch.tanh(logits / cap) * cap
