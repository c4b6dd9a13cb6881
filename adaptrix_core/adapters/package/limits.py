"""Upper bounds on a package's size, checked on sizes and headers, so that a hostile file costs little to refuse."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one package directory. All are inclusive."""

    max_files: int = 512
    """Files in the directory, the signature included."""
    max_file_bytes: int = 1024 * MIB
    """One layer file (or one PEFT weights file)."""
    max_total_bytes: int = 2048 * MIB
    """All files together; they are read into host memory once."""
    max_metadata_bytes: int = 1 * MIB
    """metadata.json, signature.json and each text file."""
    max_header_bytes: int = 1 * MIB
    """The JSON header of one safetensors file (13B, all layers and modules, needs about 100 kB)."""
    max_rank: int = 512
    """LoRA rank of one injection point."""
    max_parts: int = 16
    """Parts that one composition names."""
    max_nesting: int = 4
    """Compositions inside of one another, the outermost one included."""
    max_nested_parts: int = 64
    """Parts of a composition and of all compositions in it, together."""
    max_composition_values: int = 1024
    """Values (numbers, texts, arrays, objects) of what a composition says of its parts."""
    max_composition_levels: int = 16
    """Levels of arrays and objects of the same."""


DEFAULT_LIMITS = Limits()
