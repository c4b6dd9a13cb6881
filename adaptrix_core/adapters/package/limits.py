"""Upper bounds on an adapter's size, checked on sizes and headers, so that a hostile file costs little to refuse."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one adapter directory. All are inclusive."""

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


DEFAULT_LIMITS = Limits()
