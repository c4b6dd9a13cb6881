"""Reserved words of the ``model`` field and of the counters, beside adapters' names."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.mix_names import BASE

AUTO = "auto"
MIX, FORK = "mix", "fork"
"""Labels of requests that several adapters answer: in one mix, or in forks."""
RESERVED = frozenset({AUTO, BASE})


def public_id(source: str) -> str:
    """The id under which clients see a model: the last part of a file or directory, anything else unchanged."""
    path = Path(source)
    return path.stem if source.endswith(".gguf") else path.name if path.is_absolute() else source
