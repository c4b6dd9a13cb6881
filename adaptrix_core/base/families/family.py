"""`Family`: everything that is known of one kind of model, in one object; the Llama layout where nothing else is said.

Four facts make a family: where its modules are, and how a span of its layers runs over a packed batch of shape
``(1, tokens, hidden)`` (the methods); whether it runs over packed weights (`packed`); how its `.gguf` files are read;
and what was done to the weights in them (both `gguf`). It knows nothing of adapters, caches or requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.packed_layers import PackedLayers
from adaptrix_core.base.families.parts import MODULES, Part, Point, PointSpec, Whole, linear_shape

Rotary = Mapping[str, tuple[Tensor, Tensor]]
"""Cosine and sine, each ``(1, tokens, rotary_dim)``, by layer type."""


class Family:
    """One kind of model, in the Llama layout, which most families share; the others override what differs."""

    def __init__(
        self,
        name: str,
        *,
        backbone: str = "model",
        layers: str = "model.layers",
        packed: PackedLayers | None = None,
        gguf: GGUFArchitecture | None = None,
    ) -> None:
        """backbone, layers: paths of modules. packed: None where the native kernels do not compute its layers.

        gguf: None where its files are not read.
        """
        self.name = name
        self.backbone_path = backbone
        self.layers_path = layers
        self.packed = packed
        self.gguf = gguf

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
        return logits

    def window(self, model: PreTrainedModel, index: int) -> int | None:
        """Keys that a token of layer ``index`` sees; None for all before it. Asked of packed families only."""
        window: int | None = getattr(self.layers(model)[index].self_attn, "sliding_window", None)
        return window


def layer_types(model: PreTrainedModel) -> list[str]:
    """Each layer's kind of attention by transformers' name; ``full_attention`` where the family has just one."""
    kinds = getattr(model.config, "layer_types", None)
    return list(kinds) if kinds else ["full_attention"] * model.config.num_hidden_layers
