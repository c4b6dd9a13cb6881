"""The frozen base model: where it comes from, what family it is, and how a span of its layers runs.

Importing this package is cheap: the names below load torch and transformers on first use.

Files:

end_tokens    Which tokens end an answer: end of text, of a turn and of a message, wherever a model declares them
families      Model families: where each one keeps its embedding, layers, norm and head, and what its modules are
              called
layouts       Packed weight matrices: 4-bit and 8-bit layouts that the native kernels multiply with
manager       `BaseModelManager`: from a name to a loaded base model
model         The frozen base model: describe it, and run a span of its layers
packed        A whole model's weights in packed form, and the file they are kept in
packed_model  A base model over packed weights: what `BaseModel` says of it, its embedding and its head
running       Which layer this thread is running, and on what: for what sits inside a layer and cannot be told by
              argument
source        Where a base model's files come from: an installed package, a `.gguf` file, a local directory or the hub
gguf/         `.gguf` files read whole: configuration, tensors and tokenizer in transformers' terms
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.base.families import MODULES, Point, PointSpec, canonical_name
    from adaptrix_core.base.manager import BaseModelManager
    from adaptrix_core.base.model import BaseModel, BaseModelInfo

__all__ = ["MODULES", "BaseModel", "BaseModelInfo", "BaseModelManager", "Point", "PointSpec", "canonical_name"]

__getattr__ = lazy_exports(
    __name__,
    {
        "MODULES": "adaptrix_core.base.families",
        "BaseModel": "adaptrix_core.base.model",
        "BaseModelInfo": "adaptrix_core.base.model",
        "BaseModelManager": "adaptrix_core.base.manager",
        "Point": "adaptrix_core.base.families",
        "PointSpec": "adaptrix_core.base.families",
        "canonical_name": "adaptrix_core.base.families",
    },
)
