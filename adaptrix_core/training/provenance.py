"""The recorded provenance of a training: enough to repeat it, nothing about the machine.

Metadata is signed and passed on. A path reveals a user and a machine, and means nothing elsewhere; files are identified
by name and digest instead.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from adaptrix_core.training.examples.datasets import NAMED


def described_data(data: str) -> dict[str, Any]:
    """``name``, and for a file its ``sha256`` (and ``file``, where it is a local copy of a named data set)."""
    name, _, path = data.partition(":")
    if name in NAMED and path:
        return {"name": name, "file": Path(path).name, "sha256": _digest(Path(path))}
    file = Path(data)
    return {"name": file.name, "sha256": _digest(file)} if file.is_file() else {"name": data}


def public_model_name(source: str) -> str:
    """A base model's name for publication: the last part of a path, any other name unchanged."""
    path = Path(source).expanduser()
    return path.resolve().name if path.exists() or path.is_absolute() else source


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
