"""The names of an adapter directory's files, of our own format and of PEFT's.

Apart from `format.py` because that loads torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection

METADATA_FILE = "metadata.json"
SIGNATURE_FILE = "signature.json"
REVOCATIONS_FILE = "revocations.json"
"""File name of the list of revoked packages (`adapters/trust/revocation.py`), which is signed like an adapter."""
TEXT_FILES = frozenset({METADATA_FILE, SIGNATURE_FILE, "README.md", "LICENSE"})
GATE_FILE = "gate.safetensors"
"""File name of a composition's learned gate (`adapters/gates/gate_file.py`)."""
LAYER_FILE = re.compile(r"^layer_(0|[1-9]\d{0,5})\.safetensors$")

PEFT_CONFIG_FILE = "adapter_config.json"
PEFT_WEIGHTS_FILE = "adapter_model.safetensors"
PEFT_TOKENIZER_FILE = "adapter_tokenizer.json"
"""File name of our summary of the tokenizer that lay beside a PEFT adapter (`peft/tokenizer.py`)."""


def is_package_file(name: str) -> bool:
    """Whether the directory of an adapter or a composition may hold a file of this name."""
    return name in TEXT_FILES or name == GATE_FILE or LAYER_FILE.match(name) is not None


def are_peft(names: Collection[str]) -> bool:
    """Whether files of these names are a PEFT adapter and not one of ours."""
    return PEFT_CONFIG_FILE in names and METADATA_FILE not in names
