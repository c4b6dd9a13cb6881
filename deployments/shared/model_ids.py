"""Words that the ``model`` field and the counters have beside adapters' names."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.mix_names import BASE

AUTO = "auto"
MIX, FORK = "mix", "fork"
"""How requests are counted that several adapters answer."""
RESERVED = frozenset({AUTO, BASE})


def public_id(source: str) -> str:
    """The id that clients see of a model: a file or directory by its last part, anything else as it is."""
    path = Path(source)
    return path.stem if source.endswith(".gguf") else path.name if path.is_absolute() else source
