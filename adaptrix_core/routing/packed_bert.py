"""A BERT encoder over packed 8-bit weights: a short text costs a quarter of what it costs in transformers' modules.

At some fifteen tokens a forward pass reads weights and starts operators more than it multiplies. So the weights are
read at a quarter of their size (8 bits, a scale per 32; activations are rounded to 16 bits), and nothing runs that a
whole text does not need: no mask, no padding, one product for query, key and value. Vectors differ from the original's
by a cosine of less than 0.001. Knows BERT's arithmetic (Devlin et al., 2019); does not know tokenizers or texts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptrix_core.base.layouts import pack, quantize_rows
from adaptrix_core.base.packed_model import matrix_struct
from adaptrix_core.native import library, why_not

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ROWS_PER_THREAD = 256
"""Below twice this many tokens a second thread costs more than it does."""


class _PackedLinear:
    def __init__(self, *parts: nn.Linear) -> None:
        """One product for ``parts``, whose outputs stand side by side."""
        weight = torch.cat([part.weight.detach() for part in parts]).float()
        self._bias = torch.cat([part.bias.detach() for part in parts]).float()
        self._packed = pack(quantize_rows(weight.numpy()))
        self._struct = matrix_struct(self._packed)
        self._library = library()

    def __call__(self, x: Tensor) -> Tensor:
        """``(rows, in)`` float32 -> ``(rows, out)``."""
        x = x.contiguous()
        out = torch.empty(len(x), self._packed.padded_n)
        threads = max(1, min(torch.get_num_threads(), len(x) // ROWS_PER_THREAD))
        self._library.adaptrix_linear(
            ctypes.byref(self._struct), x.data_ptr(), len(x), self._bias.data_ptr(), out.data_ptr(), threads
        )
        return out


@dataclass(frozen=True)
class _Layer:
    qkv: _PackedLinear
    attended: _PackedLinear
    attended_norm: nn.LayerNorm
    up: _PackedLinear
    down: _PackedLinear
    norm: nn.LayerNorm


class PackedBert:
    """Token ids to unit vectors, the mean over a text's tokens. Safe to share between threads."""

    def __init__(self, model: SentenceTransformer) -> None:
        """``model`` must be one that `why_not_packed_bert` has nothing against; its embedding tables are used as is."""
        bert: Any = model[0].auto_model
        self._heads = int(bert.config.num_attention_heads)
        self._embeddings = bert.embeddings
        self._layers = [_packed(layer) for layer in bert.encoder.layer]

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Token ids per text, special ones included -> ``(len(texts), dimension)`` float32 rows of length 1.

        Texts lie behind one another without padding, so a row does not depend on the others.
        """
        bounds = list(pairwise(accumulate(map(len, texts), initial=0)))
        tables = self._embeddings
        ids = torch.tensor([token for text in texts for token in text])
        places = torch.tensor([place for text in texts for place in range(len(text))])
        states = tables.word_embeddings(ids) + tables.position_embeddings(places)
        states = tables.LayerNorm(states + tables.token_type_embeddings.weight[0])
        for layer in self._layers:
            states = layer.attended_norm(states + layer.attended(self._attention(layer.qkv(states), bounds)))
            states = layer.norm(states + layer.down(F.gelu(layer.up(states))))
        return F.normalize(torch.stack([states[start:end].mean(0) for start, end in bounds]))

    def _attention(self, qkv: Tensor, bounds: list[tuple[int, int]]) -> Tensor:
        """``(tokens, 3 * hidden)`` -> ``(tokens, hidden)``; each text attends to itself alone."""
        tokens, width = qkv.shape
        heads = qkv.view(tokens, 3, self._heads, -1).permute(1, 2, 0, 3)
        texts = []
        for start, end in bounds:
            query, key, value = heads[:, None, :, start:end]
            texts.append(F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1))
        return torch.cat(texts).reshape(tokens, width // 3)


def why_not_packed_bert(model: SentenceTransformer) -> str | None:
    """Why ``model`` has to run as it is; None where `PackedBert` computes the same."""
    if (reason := why_not()) is not None:
        return reason
    kinds = [type(module).__name__ for module in model]
    bert: Any = getattr(model[0], "auto_model", None)
    if bert is None or bert.config.model_type != "bert" or kinds[1:] != ["Pooling", "Normalize"]:
        return f"it is not BERT with pooling and normalisation: {', '.join(kinds)}"
    config, pooling = bert.config, model[1]
    checks = {
        "pooling is not the mean over all tokens": getattr(pooling, "pooling_mode", None) == "mean",
        f"activation {config.hidden_act!r} is not gelu": config.hidden_act == "gelu",
        "positions are not absolute": getattr(config, "position_embedding_type", "absolute") == "absolute",
        "sizes are not multiples of 32": config.hidden_size % 32 == 0 and config.intermediate_size % 32 == 0,
        "it is not on the CPU": bert.device.type == "cpu",
        "its weights are not float32": bert.dtype == torch.float32,
        "it puts a prompt before each text": not model.default_prompt_name,
    }
    return next((reason for reason, holds in checks.items() if not holds), None)


def _packed(layer: Any) -> _Layer:
    attention = layer.attention
    return _Layer(
        qkv=_PackedLinear(attention.self.query, attention.self.key, attention.self.value),
        attended=_PackedLinear(attention.output.dense),
        attended_norm=attention.output.LayerNorm,
        up=_PackedLinear(layer.intermediate.dense),
        down=_PackedLinear(layer.output.dense),
        norm=layer.output.LayerNorm,
    )
