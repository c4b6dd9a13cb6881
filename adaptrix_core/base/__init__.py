"""The frozen base model: its sources, its family, and running a span of its layers.

Importing this package is cheap: the names below load torch and transformers on first use.

Files:

chat_options     How chat messages become a prompt, beside the messages themselves
end_tokens       The tokens that end an answer: end of text, of a turn and of a message, wherever a model declares
                 them
layouts          Packed weight matrices: 4-bit and 8-bit layouts that the native kernels multiply with
manager          `BaseModelManager`: loads a base model by its name
model            The frozen base model: its description, and running a span of its layers
packed           A whole model's weights in packed form, and their file
packed_model     A base model over packed weights: its facts as a `BaseModel`, its embedding and its head
question_tokens  Where the user's turns stand in a prompt: the token ranges of what was asked, without the template
                 around it
running          The layer that this thread is running, and its input, for code inside a layer that cannot get it as
                 an argument
source           Sources of a base model's files: an installed package, a `.gguf` file, a local directory or the hub
families/        Model families: one file for each, with everything that is known of it
gguf/            `.gguf` files read whole: configuration, tensors and tokenizer in transformers' terms
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import MODULES, Point, PointSpec, canonical_name
    from adaptrix_core.base.manager import BaseModelManager
    from adaptrix_core.base.model import BaseModel, BaseModelInfo

__all__ = ["MODULES", "BaseModel", "BaseModelInfo", "BaseModelManager", "Point", "PointSpec", "canonical_name"]

__getattr__ = lazy_exports(
    __name__,
    {
        "MODULES": "adaptrix_core.base.families.parts",
        "BaseModel": "adaptrix_core.base.model",
        "BaseModelInfo": "adaptrix_core.base.model",
        "BaseModelManager": "adaptrix_core.base.manager",
        "Point": "adaptrix_core.base.families.parts",
        "PointSpec": "adaptrix_core.base.families.parts",
        "canonical_name": "adaptrix_core.base.families.parts",
    },
)
