"""Public names: the base model's id, and labels for requests that several adapters answer."""

from __future__ import annotations

from pathlib import Path

MIX, FORK, COMPOSITION = "mix", "fork", "composition"
"""Labels of requests that several adapters answer: in one mix, in forks (or each another prompt), or in several rows or
steps of one answer."""


def public_id(source: str) -> str:
    """The id under which clients see a model: the last part of a file or directory, anything else unchanged."""
    path = Path(source)
    return path.stem if source.endswith(".gguf") else path.name if path.is_absolute() else source
