"""What is written down of a training's origins: enough to do it again, nothing of where it was done.

Metadata is signed and handed on. A path says who somebody is and how their machine is laid out, and nothing to anybody
else; a file is known by its name and its digest instead.
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
    """A base model as others may read it: a path by its last part, any other name as it is."""
    path = Path(source).expanduser()
    return path.resolve().name if path.exists() or path.is_absolute() else source


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
