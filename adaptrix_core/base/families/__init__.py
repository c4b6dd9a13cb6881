"""Model families: one file for each, with everything that is known of it.

`Family` says what a family is; a new one subclasses it where it differs from the Llama layout.

Files:

family             `Family`: everything that is known of one kind of model, in one object; the Llama layout where
                   nothing else is said
gemma              Gemma 2 and Gemma 3: norms that multiply by 1 + weight, layers with windows, softcaps
gguf_architecture  How the `.gguf` files of one architecture are read: their keys, and what was done to their weights
gpt2               GPT-2: learned positions, query, key and value in one module, weights stored transposed
gpt_neox           GPT-NeoX: parallel residual, rotation of a part of each head, query, key and value interleaved by
                   head
llama              Llama and Mistral: the layout that most families share
lookup             Finds families: by transformers' model type, and by the architecture of a `.gguf` file
opt                OPT: learned positions with an offset, optional projections of the embedding, norms before or after
packed_layers      How a family's layers become the layers that the native kernels compute over packed weights
parts              Canonical module names, injection points, and the part of a real module that each canonical one is
phi3               Phi-3: query, key and value in one module, gate and up in another, rotation of a part of each head
qwen               Qwen 2, with biases on query, key and value, and Qwen 3, with a norm on each query and key head
                   instead
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.base.families.family import Family
    from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
    from adaptrix_core.base.families.packed_layers import PackedLayers
    from adaptrix_core.base.families.parts import PerHead, Slice, Whole

__all__ = ["Family", "GGUFArchitecture", "PackedLayers", "PerHead", "Slice", "Whole"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Family": "adaptrix_core.base.families.family",
        "GGUFArchitecture": "adaptrix_core.base.families.gguf_architecture",
        "PackedLayers": "adaptrix_core.base.families.packed_layers",
        "PerHead": "adaptrix_core.base.families.parts",
        "Slice": "adaptrix_core.base.families.parts",
        "Whole": "adaptrix_core.base.families.parts",
    },
)
