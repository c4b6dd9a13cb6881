"""PEFT directories in and out: features that are honoured, and all others refused by name.

Files:

config          Reads PEFT's adapter_config.json: the features that are honoured, and refusal of the others
conversion      PEFT directories in and out
directory       PEFT directories of any source: recognising one, its bytes, and hints for other directories that users
                give instead
fused           Splits LoRA on a fused module into its canonical parts, and joins parts again, exactly
loading         Loads a PEFT adapter as it stands, without importing it first: never signed, so only where the policy
                allows that
pattern_worker  Matches regular expressions against names, in a process of its own that ends itself when it costs too
                much
patterns        Regular expressions of adapter files: matched as PEFT matches them, at a bounded cost
selection       Selects the modules of a model that a PEFT adapter is for, with rank and scaling, by PEFT's own
                matching rules
tokenizer       Summarises the tokenizer in an adapter directory: a chat template, end tokens, added tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.adapters.peft.conversion import base_warnings, export_peft, import_peft, usable_name

__all__ = ["base_warnings", "export_peft", "import_peft", "usable_name"]

__getattr__ = lazy_exports(__name__, dict.fromkeys(__all__, "adaptrix_core.adapters.peft.conversion"))
