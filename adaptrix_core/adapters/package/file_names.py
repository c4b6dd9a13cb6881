"""The names of an adapter directory's files. Apart from `format.py` because that loads torch."""

from __future__ import annotations

import re

from adaptrix_core.adapters.package.snapshot import SIGNATURE_FILE

METADATA_FILE = "metadata.json"
TEXT_FILES = frozenset({METADATA_FILE, SIGNATURE_FILE, "README.md", "LICENSE"})
LAYER_FILE = re.compile(r"^layer_(0|[1-9]\d{0,5})\.safetensors$")


def is_package_file(name: str) -> bool:
    """Whether an adapter directory may hold a file of this name."""
    return name in TEXT_FILES or LAYER_FILE.match(name) is not None
