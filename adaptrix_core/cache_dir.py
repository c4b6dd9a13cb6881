"""The cache directory, for files that can be made again: converted models and compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """``$ADAPTRIX_CACHE``, else ``adaptrix`` in the user's cache directory."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptrix"
    return Path(os.environ.get("ADAPTRIX_CACHE") or default)
