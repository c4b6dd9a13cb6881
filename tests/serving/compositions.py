"""Compositions for a small world's server: made over the adapters that it ships, signed as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.adapters.package.composition import write_composition
from adaptrix_core.composition.manifests.making import made
from tests.serving.tiny import World

HALVES = {"parallel": {"math_reasoning": 0.5, "code_generation": 0.5}}


def write(
    world: World, directory: Path, name: str, composition: dict[str, Any], place: Path | None = None, **fields: Any
) -> Path:
    """Write a signed composition of the adapters in ``directory`` (the world's shipped ones, say): beside them, or
    into the directory ``place``."""
    manager = AdapterManager(directory, None, TrustPolicy("require", world.keys))
    target = place or directory / name
    write_composition(target, made(manager, name, composition, **fields), private_key=world.private_key)
    return target
