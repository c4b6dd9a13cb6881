"""Context: how far a mix moves what the base model computes, and what a prompt holds of a long conversation.

Importing this package is cheap: the names below load torch on first use.

Files:

anchoring   Anchoring: where a mix has drifted from the base model on a prompt, it acts with less weight from there on
comparison  Two runs of one prompt compared: how far states, attention and predictions under a mix are from the base
            model's
report      What a comparison of a mix with the base model has found, and which of it is beyond the thresholds
validator   Compares what a mix of adapters computes with what the base model alone computes, layer by layer and token
            by token
memory/     The memory of a conversation: which of its turns go into the next prompt
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.context.report import ContextReport
    from adaptrix_core.context.validator import ContextValidator

__all__ = ["ContextReport", "ContextValidator"]

__getattr__ = lazy_exports(
    __name__,
    {
        "ContextReport": "adaptrix_core.context.report",
        "ContextValidator": "adaptrix_core.context.validator",
    },
)
