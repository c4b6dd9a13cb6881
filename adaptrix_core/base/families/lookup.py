"""Finds families: by transformers' model type, and by the architecture of a `.gguf` file."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gemma import GEMMA2, GEMMA3
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.gpt2 import GPT2
from adaptrix_core.base.families.gpt_neox import GPT_NEOX
from adaptrix_core.base.families.llama import LLAMA, MISTRAL
from adaptrix_core.base.families.opt import OPT
from adaptrix_core.base.families.phi3 import PHI3
from adaptrix_core.base.families.qwen import QWEN2, QWEN3
from adaptrix_core.errors import BaseModelError

_ALL = (LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA2, GEMMA3, PHI3, GPT2, GPT_NEOX, OPT)

FAMILIES: Mapping[str, Family] = {model_type: family for family in _ALL for model_type in family.model_types}
"""transformers' ``model_type`` -> family."""


def family_of(model_type: str) -> Family:
    """The family of a transformers ``model_type``; raises BaseModelError naming the known ones."""
    if model_type not in FAMILIES:
        raise BaseModelError(
            f"model family {model_type!r} is not known; known families: {', '.join(sorted(FAMILIES))}",
            code="unknown_family",
        )
    return FAMILIES[model_type]


def packed_model_types() -> list[str]:
    """The model types that the native kernels compute."""
    return [model_type for model_type, family in FAMILIES.items() if family.packed is not None]


def gguf_architectures() -> dict[str, GGUFArchitecture]:
    """The architectures of `.gguf` files that are read, by name."""
    return {family.gguf.name: family.gguf for family in FAMILIES.values() if family.gguf is not None}
