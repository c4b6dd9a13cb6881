"""PEFT directories in and out: what they say, what of it we honour, and the rest refused by name.

Files:

config          What an adapter_config.json of PEFT says, and which of it we can honour
conversion      PEFT directories in and out
directory       A PEFT directory on disk: how to tell one, its bytes, and what other directories that people give
                instead are
fused           LoRA on a fused module, taken apart into its canonical parts and put together again, exactly
hub             Fetches the files of a PEFT adapter from the Hugging Face Hub
pattern_worker  Matches regular expressions against names, as a process of its own that ends itself when it costs too
                much
patterns        Regular expressions of adapter files: matched as PEFT matches them, at a bounded cost
selection       Which modules of a model a PEFT adapter is for, with which rank and scaling: PEFT's own matching rules
tokenizer       What an adapter directory brings beside weights: a chat template, end tokens, added tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.adapters.peft.conversion import base_warnings, export_peft, import_peft, usable_name

__all__ = ["base_warnings", "export_peft", "import_peft", "usable_name"]

__getattr__ = lazy_exports(__name__, dict.fromkeys(__all__, "adaptrix_core.adapters.peft.conversion"))
